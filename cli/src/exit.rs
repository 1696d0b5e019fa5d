//! Exit statuses.

use std::process::ExitCode;

use kbs_plan::error::Class;

/// What the exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: the build ran and failed, or a check found a difference.
    BuildFailed,
    /// 2: the request is wrong, or names what does not exist.
    Request,
    /// 3: the host, the network or the daemon.
    Host,
    /// 4: asked to stop.
    Cancelled,
    /// 70: our mistake.
    Bug,
    /// What a command that was run for the person exited with.
    Command(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::BuildFailed => 1,
            Self::Request => 2,
            Self::Host => 3,
            Self::Cancelled => 4,
            Self::Bug => 70,
            Self::Command(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::Build => Self::BuildFailed,
            Class::User | Class::NotFound => Self::Request,
            Class::Environment => Self::Host,
            Class::Cancelled => Self::Cancelled,
            Class::Bug => Self::Bug,
        }
    }
}

/// The class that a daemon's exit status stands for.
pub(crate) fn class_of(status: Option<i32>) -> Class {
    match status {
        Some(2) => Class::User,
        Some(4) => Class::Cancelled,
        Some(70) => Class::Bug,
        _ => Class::Environment,
    }
}
