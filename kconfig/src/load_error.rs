//! What can be wrong with a project's Kconfig files.

use crate::files::{FILE_MAX_B, FILES_MAX_B, FileFault};
use crate::shell::ShellRefusal;
use crate::spot::Spot;

/// Deepest nesting of `if`, `menu`, `choice` and of parentheses in an expression.
pub const NESTING_MAX: usize = 256;
/// Deepest chain of files that source each other.
pub const SOURCES_MAX: usize = 128;

/// A project's Kconfig files were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file that is sourced, or the first one, is not there.
    #[error("cannot read {path}{}: no such file in the tree", asked(at.as_ref()))]
    Missing {
        /// The path, or the pattern that matches nothing.
        path: String,
        /// Where it is sourced, `None` for the first file.
        at: Option<Spot>,
    },
    /// A path that does not stay in the tree.
    #[error("cannot read {path}{}: it is outside the tree", asked(at.as_ref()))]
    Outside {
        /// The path as written.
        path: String,
        /// Where it is sourced, `None` for the first file.
        at: Option<Spot>,
    },
    /// The caller could not give a file.
    #[error("cannot read {path}{}", asked(at.as_ref()))]
    Read {
        /// The path.
        path: String,
        /// Where it is sourced, `None` for the first file.
        at: Option<Spot>,
        /// Why.
        source: FileFault,
    },
    /// A file that is not text.
    #[error("cannot read {path}: line {line} is not UTF-8")]
    NotText {
        /// The path.
        path: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// A file of more than [`FILE_MAX_B`], or all together more than [`FILES_MAX_B`].
    #[error(
        "cannot read {path}: a Kconfig file may have {FILE_MAX_B} bytes, all of them {FILES_MAX_B}"
    )]
    TooLarge {
        /// The path.
        path: String,
    },
    /// A file that sources itself, directly or by others.
    #[error("{at}: {path} is being read already: it sources itself")]
    RecursiveSource {
        /// Where it is sourced again.
        at: Spot,
        /// The path.
        path: String,
    },
    /// More than [`SOURCES_MAX`] files or [`NESTING_MAX`] blocks inside each other.
    #[error("{at}: {what} are nested too deeply")]
    TooDeep {
        /// Where it became too much.
        at: Spot,
        /// What is nested, in the plural.
        what: &'static str,
    },
    /// Conditions that are inherited by so much that deciding it would take minutes.
    #[error("{at}: the conditions up to here are too many to decide")]
    TooMuch {
        /// Where it became too much.
        at: Spot,
    },
    /// A line that is not Kconfig.
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Spot,
        /// What is wrong.
        reason: String,
    },
    /// A macro that cannot be expanded.
    #[error("{at}: cannot expand a macro: {reason}")]
    Macro {
        /// The line that uses it.
        at: Spot,
        /// What is wrong.
        reason: String,
    },
    /// The project itself stops, by `$(error-if,…)`.
    #[error("{at}: the project stops here: {message}")]
    Stopped {
        /// Where.
        at: Spot,
        /// What it says.
        message: String,
    },
    /// A command that is not run.
    #[error("{at}: cannot run `{command}`")]
    Shell {
        /// Where it is asked for.
        at: Spot,
        /// The command.
        command: String,
        /// Why.
        source: ShellRefusal,
    },
    /// Symbols whose values depend on each other.
    #[error("{at}: {} depends on itself: {}", cycle.first().map_or("a symbol", String::as_str), cycle.join(" -> "))]
    Loop {
        /// Where the first of them is defined.
        at: Spot,
        /// Names, each depending on the next; the last is the first again. Cut in the middle if
        /// there are many.
        cycle: Vec<String>,
    },
}

fn asked(at: Option<&Spot>) -> String {
    at.map(|at| format!(", which {at} asks for")).unwrap_or_default()
}

impl LoadError {
    /// Says what to do next.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "check the path, and whether a script has to generate the file first".to_owned()
            }
            Self::Shell { .. } => {
                "let the project's own tool normalise the configuration".to_owned()
            }
            Self::Stopped { .. } => "give the environment that the project asks for".to_owned(),
            _ => return None,
        })
    }
}
