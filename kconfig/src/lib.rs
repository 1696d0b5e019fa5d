//! Layer: pure. Configurations as text: reads, merges, compares and writes `.config`.
//!
//! Nothing here opens a file, reads a clock or runs a program: text in, values out, the same on
//! every machine.

mod assignments;
mod definitions;
mod diff;
mod dotconfig;
mod drift;
mod pattern;
mod shown;
mod suggest;
mod symbol;
mod value;

pub use assignments::{Assignment, Assignments, Place};
pub use definitions::{Definition, defined_symbols};
pub use diff::{Difference, diff};
pub use dotconfig::{
    IGNORED_KEPT, IgnoredLine, LINE_MAX_B, ReadError, Reading, SYMBOLS_MAX, TEXT_MAX_B, canonical,
    parse,
};
pub use drift::{Change, Drift, drift};
pub use pattern::Pattern;
pub use suggest::{SUGGESTIONS_MAX, Suggestion, suggest};
pub use symbol::{NameError, Prefix, SYMBOL_MAX_B, Symbol};
pub use value::{Literal, STRING_MAX_B, Value, ValueError};
