//! Makes an image of programs that the host has.

mod alternatives;
mod copy;
pub(crate) mod dpkg;
pub(crate) mod elf;
mod hints;
mod picks;
mod programs;
mod request;
mod select;

pub use request::{HostError, HostRequest};
pub(crate) use select::Selection;
