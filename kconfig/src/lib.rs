//! Layer: pure. Configurations: as text, and as what a project's Kconfig files make of them.
//!
//! Nothing here opens a file, reads a clock or runs a program: text in, values out, the same on
//! every machine.

mod assignments;
mod configuration;
mod cursor;
mod definitions;
mod dialect;
mod diff;
mod dotconfig;
mod drift;
mod explain;
mod expr;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod help;
mod ids;
mod kconfig;
mod lexer;
mod lint;
mod load_error;
mod macros;
mod menu;
mod model;
mod names;
mod notation;
mod number;
mod order;
mod output;
mod parser;
mod past;
mod pattern;
mod resolve;
mod review;
mod search;
mod shell;
mod shown;
mod source;
mod spelled;
mod spot;
mod suggest;
mod symbol;
mod tree;
mod value;
mod wishes;

pub use assignments::{Assignment, Assignments, Place};
pub use configuration::{Configuration, SetError};
pub use definitions::{Definition, defined_symbols};
pub use dialect::{Dialect, HeaderOff, Strings, Tool, Vintage};
pub use diff::{Difference, diff};
pub use dotconfig::{
    IGNORED_KEPT, IgnoredLine, LINE_MAX_B, ReadError, Reading, SYMBOLS_MAX, TEXT_MAX_B, canonical,
    parse,
};
pub use drift::{Change, Drift, drift};
pub use explain::{
    Adjustment, Asked, Cause, ChoiceSeen, ChosenBy, Consequence, Consequences, DefaultPassed,
    DefaultSeen, DefinedAt, Explanation, HiddenPrompt, Must, Need, NeededValue, Obstacle,
    ObstacleKind, Origin, Selection, Selects, Standing,
};
pub use expr::Tristate;
pub use files::{FILE_MAX_B, FILES_MAX_B, FileFault, FileMap, Files};
pub use kconfig::{ENGINE, Kconfig};
pub use lint::{Flaw, FlawKind};
pub use load_error::{LoadError, NESTING_MAX, SOURCES_MAX};
pub use macros::Note;
pub use menu::{
    Effect, Entry, EntryId, EntryKind, Listing, Menu, Row, SetAsked, Settable, Setting, ValueKind,
};
pub use notation::Notation;
pub use past::{CommitSeen, Departure, Fate, PastSearch, Successor};
pub use pattern::Pattern;
pub use review::{Dropped, DroppedWhy};
pub use search::{FoundIn, Hit};
pub use shell::{NoShell, Shell, ShellRefusal};
pub use spot::Spot;
pub use suggest::{SUGGESTIONS_MAX, Suggestion, suggest};
pub use symbol::{NameError, Prefix, SYMBOL_MAX_B, Symbol};
pub use value::{Literal, STRING_MAX_B, Value, ValueError};
pub use wishes::{Unset, UnsetReason};
