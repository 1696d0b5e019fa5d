//! What ends a command early, ready to be told.

use std::error::Error;

use kbs_plan::error::{Class, Help};
use kbs_proto::status::{Remote, from_status};

use crate::exit::Exit;

/// What ends a command early.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Somebody must know.
    Told {
        /// Who can fix it.
        class: Class,
        /// Messages, outermost first; never empty.
        chain: Vec<String>,
        /// What to do next.
        help: Option<String>,
    },
    /// The reader of stdout went away; nobody is there to tell.
    ReaderGone,
}

impl CliError {
    /// An error without a cause.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self::Told { class, chain: vec![message.into()], help: None }
    }

    /// An error of the host, with `error` as its cause.
    pub(crate) fn host(message: impl Into<String>, error: &dyn Error) -> Self {
        Self::of(Class::Environment, message, error)
    }

    /// A wrong request, with `error` as its cause.
    pub(crate) fn request(message: impl Into<String>, error: &dyn Error) -> Self {
        Self::of(Class::User, message, error)
    }

    fn of(class: Class, message: impl Into<String>, error: &dyn Error) -> Self {
        let mut chain = vec![message.into()];
        extend_with(&mut chain, Some(error));
        Self::Told { class, chain, help: None }
    }

    /// An error of a room, with its causes and help.
    pub(crate) fn told(error: &(impl Help + ?Sized)) -> Self {
        let mut chain = vec![error.to_string()];
        extend_with(&mut chain, error.source());
        Self::Told { class: error.class(), chain, help: error.help() }
    }
    /// The same error, telling what to do next.
    #[must_use]
    pub(crate) fn with_help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Told { class, chain, help: _ } => {
                Self::Told { class, chain, help: Some(text.into()) }
            }
            Self::ReaderGone => Self::ReaderGone,
        }
    }

    /// What the exit status says of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told { class, .. } => Exit::from(*class),
            Self::ReaderGone => Exit::Done,
        }
    }
}

impl<E: Help> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::told(&error)
    }
}

fn extend_with(chain: &mut Vec<String>, mut cause: Option<&dyn Error>) {
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries repeat their source in their own message.
        if chain.last() != Some(&text) {
            chain.push(text);
        }
        cause = error.source();
    }
}

/// The error that a daemon answered with, or that it is gone.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn remote(status: tonic::Status) -> CliError {
    if is_gone(&status) {
        return gone(status.source());
    }
    let Remote { class, chain: lines, help } = from_status(&status);
    // A line that begins with a blank continues the message above it.
    let mut chain: Vec<String> = Vec::new();
    for line in lines {
        match chain.last_mut() {
            Some(message) if line.starts_with(' ') => {
                message.push('\n');
                message.push_str(line.trim_start());
            }
            _ => chain.push(line),
        }
    }
    if chain.is_empty() {
        chain.push(format!("the daemon answered with {}", status.code()));
    }
    CliError::Told { class, chain, help }
}

/// Whether the daemon itself did not answer: only the transport gives a status a source.
pub(crate) fn is_gone(status: &tonic::Status) -> bool {
    status.source().is_some()
}

/// The daemon went away before it had answered.
pub(crate) fn gone(cause: Option<&dyn Error>) -> CliError {
    let mut chain = vec!["the daemon went away before it had answered".to_owned()];
    extend_with(&mut chain, cause);
    CliError::Told {
        class: Class::Environment,
        chain,
        help: Some(
            "run the command again; kbsd.log in the state directory tells why it left".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_lines_of_a_status_continue_the_message() {
        let status = kbs_proto::status::from_parts(Class::User, "outer\n  more\ninner", None);
        let CliError::Told { chain, .. } = remote(status) else { panic!("not told") };
        assert_eq!(chain, ["outer\nmore", "inner"]);
    }
}
