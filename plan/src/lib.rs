//! What will be built, and under which key: the pure vocabulary of kbs.
//!
//! Layer: pure. No I/O, no clock, no log; the same arguments give the same bytes on every machine.

pub mod derivation;
mod environment;
pub mod error;
pub mod id;
pub mod kconfig;
pub mod limits;
pub mod path;
pub mod pattern;
pub mod quantity;
pub mod recipe;
pub mod spec;
pub mod tree;
