//! Who can fix an error, and what to do next.

use std::error::Error;

/// Who can fix it. Decides the gRPC code and the exit status, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The build itself failed: its commands, or a limit they hit.
    Build,
    /// The request is wrong: exit status 2.
    User,
    /// Something that was named does not exist: exit status 2.
    NotFound,
    /// The host, the network or a peer: exit status 3.
    Environment,
    /// Asked to stop: exit status 4.
    Cancelled,
    /// Our mistake: exit status 70.
    Bug,
}

/// An error with the two things a person needs besides its message.
pub trait Help: Error {
    /// Who can fix it.
    fn class(&self) -> Class;

    /// One imperative sentence, lowercase and without a period: what to do next. `None` when the
    /// message already says it.
    fn help(&self) -> Option<String> {
        None
    }
}
