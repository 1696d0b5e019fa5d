//! Layer: kernel. Runs the commands of one build in a jail, seeing only what they were given.
//!
//! A [`JailSpec`] is pure data; [`ops`] lists what will be done for it, in order. [`Helper`] is the
//! handle of a small single-threaded process that starts the jails, so that a daemon with a lot of
//! memory never forks. The first process of every jail is ours: it builds the jail around itself,
//! gives up every privilege, and only then runs the steps. What the kernel cannot enforce is refused,
//! and [`probe`] says beforehand what that will be; a jail lacks a [`Wall`] only where its spec says
//! so.

mod cgroup;
mod child;
mod console;
mod copy;
mod error;
mod filter;
mod finished;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod helper;
mod host;
mod limits;
mod meter;
mod ops;
mod path;
mod probe;
mod report;
mod scratch;
mod seal;
mod serve;
mod space;
mod spec;
mod stage;
mod steps;
mod sys;
mod usage;
mod waiting;
mod walk;
mod wall;
mod wire;

pub use cgroup::{Cgroup, NoCgroup};
pub use console::Console;
pub use error::{SandboxError, SetupFailure, SpecError};
pub use finished::{Finished, Outcome, ResultDirs};
pub use helper::{Helper, Job};
pub use limits::{Limit, Limits};
pub use ops::{Op, Part, ops};
pub use path::{JailPath, JailPathError};
pub use probe::probe;
pub use report::{Layer, Need, Report, State};
pub use scratch::remove_scratch;
pub use serve::helper_main_if_asked;
pub use spec::{Input, JailFile, JailSpec, SOURCE_LAYERS_MAX, Scratch, Step};
pub use usage::{Accounting, Sample, Usage};
pub use wall::{UnknownWall, Wall};
