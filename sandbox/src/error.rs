//! Why a jail could not be described, started or built.

use std::{fmt, io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{JailPath, SOURCE_LAYERS_MAX};

/// The spec asks for something that no jail can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A host path is relative.
    #[error("the host path {} is not absolute", path.display())]
    RelativeHostPath {
        /// The path.
        path: PathBuf,
    },
    /// The source is made of more directories than the kernel can be told of.
    #[error(
        "a source of {layers} directories is more than the {SOURCE_LAYERS_MAX} that a jail can \
         show as one"
    )]
    SourceLayers {
        /// How many.
        layers: usize,
    },
    /// An environment variable cannot be passed on.
    #[error("the environment variable {name:?} has a name or value that cannot be passed on")]
    Environment {
        /// Its name.
        name: String,
    },
    /// A step has no program, or a NUL in an argument.
    #[error("step {step} is not a command that can be run")]
    Command {
        /// Index into the steps.
        step: usize,
    },
    /// A file wants more than permission bits.
    #[error("mode {mode:o} of {path} has more than permission bits")]
    FileMode {
        /// The file.
        path: JailPath,
        /// What was asked for.
        mode: u32,
    },
    /// The scratch size is zero.
    #[error("the scratch size is zero")]
    NoScratch,
}

/// A jail could not be started, or its end is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The spec is wrong.
    #[error("cannot build such a jail")]
    Spec(#[from] SpecError),
    /// The helper process could not be started.
    #[error("cannot start the jail helper {}", program.display())]
    Start {
        /// The program that was to be the helper.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The job could not be handed to the helper.
    #[error("cannot hand the job to the jail helper")]
    Send(#[source] io::Error),
    /// The helper process is gone, and every jail with it.
    #[error("the jail helper is gone, and its jails with it")]
    HelperGone,
    /// The probe gave no answer.
    #[error("cannot find out what this kernel offers")]
    Probe(#[source] io::Error),
}

impl SandboxError {
    /// One imperative sentence: what to do next. `None` when the message already says it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::HelperGone => Some("start the build again".to_owned()),
            Self::Spec(_) | Self::Start { .. } | Self::Send(_) | Self::Probe(_) => None,
        }
    }

    /// Says whether the request is at fault, not this machine.
    pub fn is_request(&self) -> bool {
        matches!(self, Self::Spec(_))
    }
}

/// One thing on the way to a jail could not be done, so nothing was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupFailure {
    /// Which, as an index into [`ops`](crate::ops).
    pub index: usize,
    /// What, in words.
    pub op: String,
    /// Which part of it, if it has parts (a path, an option).
    pub detail: Option<String>,
    /// Why: an `errno`.
    pub errno: i32,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for SetupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, op, detail, errno, help: _ } = self;
        write!(f, "the kernel refused step {index} of the jail: {op}")?;
        if let Some(detail) = detail {
            write!(f, " ({detail})")?;
        }
        write!(f, ": {}", io::Error::from_raw_os_error(*errno))
    }
}

impl std::error::Error for SetupFailure {}
