//! How a jail ended.

use std::{os::fd::OwnedFd, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Limit, SetupFailure, Usage};

/// A jail that is over. Every process that the steps left behind is dead.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// From the start of the jail to its end.
    pub took: Duration,
    /// What it wrote; `None` when it ended before its directories existed.
    pub dirs: Option<ResultDirs>,
    /// Whether its source was copied, because one of the file systems cannot be a layer.
    pub copied: bool,
}

/// The directories of a jail that outlive it.
///
/// They are open directories of mounts that no path leads to any more; open beneath them, never
/// through a symbolic link. With [`Scratch::Memory`](crate::Scratch) the memory is freed when they
/// are closed.
#[derive(Debug)]
pub struct ResultDirs {
    /// `/build/src` as the last step left it.
    pub src: OwnedFd,
    /// `/build/out` as the last step left it.
    pub out: OwnedFd,
}

/// How a jail ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every step exited with status 0.
    Succeeded,
    /// A step exited with another status: 127 if its program was not found, 126 if it could not be
    /// run (the log says why).
    Failed {
        /// Index into the steps.
        step: usize,
        /// Exit status, 1 to 255.
        code: i32,
    },
    /// A signal ended a step.
    Signaled {
        /// Index into the steps.
        step: usize,
        /// Its number.
        signal: i32,
    },
    /// A limit was passed, for which every process was killed.
    Exceeded(Limit),
    /// [`Job::kill`](crate::Job::kill) was called.
    Killed,
    /// Somebody else killed the jail's first process: the out-of-memory killer or an operator.
    Lost {
        /// The signal's number, 0 if it exited.
        signal: i32,
    },
    /// The jail could not be built; no step ran.
    SetupFailed(SetupFailure),
}
