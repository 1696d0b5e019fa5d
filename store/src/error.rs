//! What can go wrong in an open store.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};
use kbs_plan::id::{BlobId, BuildKey, TreeId};
use kbs_plan::path::RelPath;
use kbs_plan::tree::TreeError;

use crate::row::RowError;

/// The store could not do what was asked; what it held before is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk, or the quota, is full.
    #[error("no space left to {action} {} ({written_b} bytes were written)", path.display())]
    NoSpace {
        /// What was tried.
        action: &'static str,
        /// The file that did not fit.
        path: PathBuf,
        /// Bytes of it that did.
        written_b: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// A database transaction failed; nothing of it was written.
    #[error("cannot {action} in {}", path.display())]
    Txn {
        /// What the transaction was for.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What the database said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A row exists but cannot be read.
    #[error("the row of {key} in table {table} cannot be read")]
    Row {
        /// The table's name.
        table: &'static str,
        /// The row's key, as text.
        key: String,
        /// Why not.
        source: RowError,
    },
    /// No file holds the blob.
    #[error("{id} is not in the store")]
    MissingBlob {
        /// The blob that was asked for.
        id: BlobId,
    },
    /// A blob's file does not hold the bytes that its name promises.
    #[error("{id} is damaged: {} holds other bytes", path.display())]
    CorruptBlob {
        /// The blob that was asked for.
        id: BlobId,
        /// Its file.
        path: PathBuf,
    },
    /// A tree's rows do not hash to its id.
    #[error("the listing of {id} is damaged")]
    CorruptTree {
        /// The tree that was asked for.
        id: TreeId,
    },
    /// Two entries of a tree want the same place.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What the caller gave to read could not be read.
    #[error("cannot read the bytes of `{path}` that are to be stored")]
    Input {
        /// Its place in the tree.
        path: RelPath,
        /// Why not.
        source: io::Error,
    },
    /// A symbolic link whose target no file system can hold.
    #[error(
        "`{path}` cannot be a symbolic link: its target is empty, longer than 4095 bytes or holds a NUL byte"
    )]
    LinkTarget {
        /// Its place in the tree.
        path: RelPath,
    },
    /// An output's name cannot be part of a directory name.
    #[error("`{name}` cannot be the name of an output")]
    Name {
        /// The name.
        name: String,
    },
    /// A prefix that can begin no key.
    #[error("`{text}` is not the beginning of a key")]
    Prefix {
        /// The text.
        text: String,
    },
    /// There is no such output.
    #[error("there is no output of {key}")]
    UnknownOutput {
        /// The key that was named.
        key: BuildKey,
    },
}

impl Help for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Io { .. }
            | Self::NoSpace { .. }
            | Self::Txn { .. }
            | Self::Row { .. }
            | Self::CorruptBlob { .. }
            | Self::CorruptTree { .. }
            | Self::Input { .. } => Class::Environment,
            Self::MissingBlob { .. } | Self::UnknownOutput { .. } => Class::NotFound,
            Self::Tree(_) | Self::LinkTarget { .. } | Self::Name { .. } | Self::Prefix { .. } => {
                Class::User
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoSpace { path, .. } => {
                Some(format!("free space on the disk or quota that holds {}", path.display()))
            }
            Self::Txn { path, .. } => Some(format!(
                "make sure that the disk of {} is healthy and not full, then try again",
                path.display()
            )),
            Self::CorruptBlob { .. } | Self::CorruptTree { .. } => {
                Some("build what it belongs to again, and check the disk".to_owned())
            }
            Self::Row { .. } => Some("build it again, and check the disk".to_owned()),
            Self::Name { .. } => Some(
                "use 1 to 100 of the characters A-Z a-z 0-9 . _ + -, not beginning with a dot"
                    .to_owned(),
            ),
            Self::Prefix { .. } => Some(
                "give at least four of the key's hex digits, with or without `key:`".to_owned(),
            ),
            Self::Io { .. }
            | Self::MissingBlob { .. }
            | Self::Tree(_)
            | Self::Input { .. }
            | Self::LinkTarget { .. }
            | Self::UnknownOutput { .. } => None,
        }
    }
}

/// Says what was tried, on which file, when a file operation fails.
pub(crate) trait At<T> {
    /// For an operation that wrote nothing yet.
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| file_error(action, path, 0, error.into()))
    }
}

/// Tells a full disk from other failures; `written_b` bytes of the file were written before.
pub(crate) fn file_error(
    action: &'static str,
    path: &Path,
    written_b: u64,
    source: io::Error,
) -> StoreError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::NoSpace { action, path, written_b, source }
        }
        _ => StoreError::Io { action, path, source },
    }
}
