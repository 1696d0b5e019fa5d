//! What can go wrong in an open store.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};
use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::path::RelPath;
use kbs_plan::tree::TreeError;
use rustix::io::Errno;

use crate::disk::free_b;
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
    #[error("no space left to {action} {}: it needs {needed_b} more bytes{}", path.display(), free(*free_b))]
    NoSpace {
        /// What was tried.
        action: &'static str,
        /// The file that did not fit.
        path: PathBuf,
        /// Bytes that it needs at least.
        needed_b: u64,
        /// Bytes that are free there, where that is known.
        free_b: Option<u64>,
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
    /// A file below `meta/` cannot be believed.
    #[error("{} cannot be used: {reason}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
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
    /// A project's name that no row has room for.
    #[error("the name of a project cannot have {size_b} bytes")]
    ProjectName {
        /// Its size in bytes.
        size_b: usize,
    },
    /// A root cannot be called that.
    #[error("`{name}` cannot be the name of a root")]
    RootName {
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
            | Self::Meta { .. }
            | Self::Input { .. } => Class::Environment,
            Self::MissingBlob { .. } | Self::UnknownOutput { .. } => Class::NotFound,
            Self::Tree(_)
            | Self::LinkTarget { .. }
            | Self::Name { .. }
            | Self::ProjectName { .. }
            | Self::RootName { .. }
            | Self::Prefix { .. } => Class::User,
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
            Self::CorruptBlob { .. } | Self::Meta { .. } => {
                Some("build what it belongs to again, and check the disk".to_owned())
            }
            Self::Row { .. } => Some("build it again, and check the disk".to_owned()),
            Self::Name { .. } => Some(
                "use 1 to 100 of the characters A-Z a-z 0-9 . _ + -, not beginning with a dot"
                    .to_owned(),
            ),
            Self::ProjectName { .. } => Some("use at most 65535 bytes".to_owned()),
            Self::RootName { .. } => Some(
                "use a word, not a path and without control characters; links have absolute paths"
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
    /// For an operation that needs no room to speak of.
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| no_room(action, path, BLOCK_B, error.into()))
    }
}

/// What a new name or an empty file may need.
const BLOCK_B: u64 = 4096;

/// Tells a full disk, where `needed_b` more bytes did not fit, from other failures.
pub(crate) fn no_room(
    action: &'static str,
    path: &Path,
    needed_b: u64,
    source: io::Error,
) -> StoreError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            let free_b = path.ancestors().find_map(|dir| free_b(dir).ok());
            StoreError::NoSpace { action, path, needed_b, free_b, source }
        }
        _ => StoreError::Io { action, path, source },
    }
}

/// Whether an error says something of this process, and nothing of the file that it looked at.
pub(crate) fn lacks_means(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

fn free(free_b: Option<u64>) -> String {
    free_b.map_or_else(String::new, |free_b| format!(", {free_b} are free"))
}
