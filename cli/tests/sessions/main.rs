//! The `kbs` binary against a daemon that answers what a test wrote down.

mod answers;
mod deliver;
mod fake;
mod realize;
mod start;
