//! Errors on the wire: class, message chain and help in a gRPC status.

use kbs_plan::error::{Class, Help};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "kbs.v1";
const HELP: &str = "help";

/// Puts an error into a status: class → code, chain of messages → message, help → details.
pub fn to_status(error: &(impl Help + ?Sized)) -> Status {
    let mut links = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        links.push(error.to_string());
        cause = error.source();
    }
    // A link of several lines stays one link: its further lines begin with a blank.
    let links: Vec<_> = links.iter().map(|link| link.replace('\n', "\n  ")).collect();
    from_parts(error.class(), &links.join("\n"), error.help())
}

/// A message and its help travel in headers, twice and escaped, of which a client takes 16 KiB.
const MESSAGE_MOST_B: usize = 3 << 10;
const HELP_MOST_B: usize = 3 << 9;

/// The beginning and the end of a text that is too long, and how much is left out.
fn fit(text: &str, most_b: usize) -> std::borrow::Cow<'_, str> {
    if text.len() <= most_b {
        return text.into();
    }
    let head = text.floor_char_boundary(most_b / 3);
    let tail = text.ceil_char_boundary(text.len() - most_b / 2);
    let (left_out, shown) = (tail - head, (&text[..head], &text[tail..]));
    format!("{} [{left_out} bytes are left out] {}", shown.0, shown.1).into()
}

/// Makes a status of its parts; `message` has one line per link of the chain, outermost first.
pub fn from_parts(class: Class, message: &str, help: Option<String>) -> Status {
    let (code, reason) = match class {
        Class::Build => (Code::Aborted, "BUILD"),
        Class::User => (Code::InvalidArgument, "USER"),
        Class::NotFound => (Code::NotFound, "NOT_FOUND"),
        Class::Environment => (Code::Unavailable, "ENVIRONMENT"),
        Class::Cancelled => (Code::Cancelled, "CANCELLED"),
        Class::Bug => (Code::Internal, "BUG"),
    };
    let message = fit(message, MESSAGE_MOST_B);
    let help = help.map(|help| fit(&help, HELP_MOST_B).into_owned());
    let details = match help {
        Some(help) => ErrorDetails::with_error_info(reason, DOMAIN, [(HELP.to_owned(), help)]),
        None => ErrorDetails::with_error_info(reason, DOMAIN, <[(String, String); 0]>::default()),
    };
    Status::with_error_details(code, message.into_owned(), details)
}

/// What a client reads of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Who can fix it.
    pub class: Class,
    /// Messages, outermost first.
    pub chain: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
}

/// Takes a status apart; one that no kbsd made is the environment's or a bug.
pub fn from_status(status: &Status) -> Remote {
    let chain = status.message().lines().map(str::to_owned).collect();
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
    let Some(info) = info else {
        let class = match status.code() {
            Code::Cancelled => Class::Cancelled,
            Code::InvalidArgument | Code::Unimplemented => Class::User,
            Code::NotFound => Class::NotFound,
            Code::Internal => Class::Bug,
            _ => Class::Environment,
        };
        return Remote { class, chain, help: None };
    };
    let class = match info.reason.as_str() {
        "BUILD" => Class::Build,
        "USER" => Class::User,
        "NOT_FOUND" => Class::NotFound,
        "CANCELLED" => Class::Cancelled,
        "BUG" => Class::Bug,
        _ => Class::Environment,
    };
    Remote { class, chain, help: info.metadata.get(HELP).cloned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_fits_into_headers_whatever_is_in_it() {
        let long = format!("cannot use /{}: why", "ä/".repeat(30_000));
        let status = from_parts(Class::User, &long, Some(long.clone()));
        assert!(status.message().len() < 4096 && status.details().len() < 8192);
        let Remote { chain, help, .. } = from_status(&status);
        let fits = |text: &str| {
            text.starts_with("cannot use /ä")
                && text.ends_with(": why")
                && text.contains("left out")
        };
        assert!(fits(&chain[0]) && fits(&help.unwrap()), "{chain:?}");
        assert_eq!(fit("short", 5), "short");
    }

    #[test]
    fn class_chain_and_help_survive_the_wire() {
        let status = from_parts(Class::NotFound, "outer\ninner", Some("do this".to_owned()));
        assert_eq!(status.code(), Code::NotFound);
        let remote = from_status(&status);
        assert_eq!(remote.class, Class::NotFound);
        assert_eq!(remote.chain, ["outer", "inner"]);
        assert_eq!(remote.help.as_deref(), Some("do this"));
    }
}
