//! How a build ended.

use kbs_plan::id::BuildKey;
use kbs_store::{OutputRow, Usage};

/// How a request or a build ended, when nothing of ours went wrong.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// There is an output.
    Output {
        /// Its row.
        row: Box<OutputRow>,
        /// Whether it was built just now.
        built: bool,
    },
    /// The build failed.
    Failure {
        /// Its key.
        key: BuildKey,
        /// How.
        failure: Failure,
    },
    /// A second build was compared with the stored one.
    Checked {
        /// The key of both.
        key: BuildKey,
        /// Where they differ; empty when they are identical.
        differences: Vec<Difference>,
    },
}

/// How a build failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The cause in one word.
    pub(crate) cause: Cause,
    /// What happened, for people.
    pub(crate) text: String,
    /// The command that failed.
    pub(crate) command: Vec<String>,
    /// The last lines of the log.
    pub(crate) tail: String,
    /// Where the work tree was kept.
    pub(crate) kept: Option<std::path::PathBuf>,
    /// What the build used.
    pub(crate) usage: Usage,
}

/// Why a build failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A command exited with this status.
    Exit(i32),
    /// A signal ended a command.
    Signal(i32),
    /// The limit of this name in specs was passed.
    Limit(&'static str),
    /// The sandbox ended without telling how.
    Lost,
    /// A required artifact pattern matched nothing, or something that cannot be kept.
    NoArtifacts,
}

impl Cause {
    /// The word on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exit(_) => "exit",
            Self::Signal(_) => "signal",
            Self::Limit(_) => "limit",
            Self::Lost => "lost",
            Self::NoArtifacts => "no-artifacts",
        }
    }

    /// The limit that was passed, empty if it was none.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::Limit(name) => name,
            Self::Exit(_) | Self::Signal(_) | Self::Lost | Self::NoArtifacts => "",
        }
    }

    /// Exit status or signal number, else 0.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Exit(code) | Self::Signal(code) => code,
            Self::Limit(_) | Self::Lost | Self::NoArtifacts => 0,
        }
    }
}

/// Where two builds of one key differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The file.
    pub(crate) path: String,
    /// First byte that differs; `None` where one side has no such file.
    pub(crate) offset: Option<u64>,
    /// What differs, for people.
    pub(crate) text: String,
}
