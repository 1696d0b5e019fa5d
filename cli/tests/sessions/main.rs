//! The `kbs` binary against a daemon that answers what a test wrote down.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod answers;
mod deliver;
mod fake;
mod realize;
mod shell;
mod start;
mod store;
