//! Where the standard streams of a jail lead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Where the standard streams of a jail's steps lead.
#[derive(Debug)]
pub enum Console {
    /// Input from nothing; output and errors to this, which should be a pipe: a file cannot be
    /// opened again by the name `/dev/stdout`. A pipe's reader has come to its end when
    /// [`Job::wait`](crate::Job::wait) returns.
    Log(OwnedFd),
    /// Input, output and errors.
    Streams([OwnedFd; 3]),
    /// All of them on this terminal, which becomes the controlling one of the steps.
    Terminal(OwnedFd),
}

/// What a [`Console`] is, without its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsoleKind {
    Log,
    Streams,
    Terminal,
}

impl Console {
    pub(crate) fn kind(&self) -> ConsoleKind {
        match self {
            Self::Log(_) => ConsoleKind::Log,
            Self::Streams(_) => ConsoleKind::Streams,
            Self::Terminal(_) => ConsoleKind::Terminal,
        }
    }

    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Log(fd) | Self::Terminal(fd) => vec![fd.as_fd()],
            Self::Streams(fds) => fds.iter().map(AsFd::as_fd).collect(),
        }
    }

    /// Puts together what was sent.
    pub(crate) fn new(kind: ConsoleKind, mut fds: Vec<OwnedFd>) -> Result<Self, Errno> {
        if kind == ConsoleKind::Streams {
            return fds.try_into().map(Self::Streams).map_err(|_| Errno::BADMSG);
        }
        match (kind, fds.pop(), fds.is_empty()) {
            (ConsoleKind::Log, Some(fd), true) => Ok(Self::Log(fd)),
            (ConsoleKind::Terminal, Some(fd), true) => Ok(Self::Terminal(fd)),
            _ => Err(Errno::BADMSG),
        }
    }
}
