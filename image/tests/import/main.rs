//! Imports made by hand, honest and hostile, through the public interface.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod archives;
mod bundles;
mod host;
mod pack;
mod place;
