//! What must hold wherever a build has been, for fuzzers and for the tests that repeat what those
//! found.

mod collector;
mod tree;

pub use collector::Collector;
