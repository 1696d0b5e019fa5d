//! Archives: what is inside one, compressed or not, becomes a tree on disk.

mod budget;
mod canonical;
mod decompress;
mod error;
mod seal;
mod staged;
mod unpack;

pub(crate) use budget::Budget;
pub(crate) use canonical::{Canonical, Contents};
pub(crate) use decompress::decompress;
pub use error::UnpackError;
pub(crate) use seal::{measure, open_directory, seal, stamp_directory};
pub(crate) use staged::StagedTree;
pub(crate) use unpack::{Role, unpack};
