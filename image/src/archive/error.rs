//! Why an archive cannot be unpacked.

use std::io;

use kbs_plan::error::{Class, Help};
use kbs_plan::path::{PathError, RelPath};

/// An archive could not be unpacked. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A name that cannot be a path in a tree.
    #[error("cannot unpack an entry of this name")]
    Name {
        /// The rule it breaks.
        source: PathError,
    },
    /// A parent of the entry is a link or a file.
    #[error("cannot unpack `{path}`: something above it in the tree is not a directory")]
    Parent {
        /// The entry.
        path: RelPath,
    },
    /// A symbolic link's target is empty, too long, or not UTF-8.
    #[error("cannot unpack the symbolic link `{path}`: its target is not a path")]
    SymlinkTarget {
        /// The link.
        path: RelPath,
    },
    /// A hard link to nothing, to a directory, or through a symbolic link.
    #[error("cannot unpack the hard link `{path}`: `{original}` is not an earlier file")]
    HardLinkTarget {
        /// The link.
        path: RelPath,
        /// What it names.
        original: RelPath,
    },
    /// An entry of a kind that tar files of root file systems do not have.
    #[error("cannot unpack `{path}`: unknown kind of entry {kind}")]
    Kind {
        /// The entry.
        path: RelPath,
        /// Its type flag, or the extension it asks for.
        kind: String,
    },
    /// More bytes than allowed.
    #[error("the archive unpacks to more than {limit_b} bytes")]
    TooLarge {
        /// The limit that was hit.
        limit_b: u64,
    },
    /// More entries than allowed.
    #[error("the archive has more than {limit} entries")]
    TooManyEntries {
        /// The limit that was hit.
        limit: u64,
    },
    /// The end is missing.
    #[error("the archive ends early: it was cut off")]
    Truncated,
    /// Not a tar, or a compressed stream that is damaged.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// The disk refused.
    #[error("cannot write `{path}`")]
    Write {
        /// The entry.
        path: RelPath,
        /// Why.
        source: io::Error,
    },
}

impl Help for UnpackError {
    fn class(&self) -> Class {
        match self {
            Self::Write { .. } => Class::Environment,
            _ => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Name { .. } | Self::SymlinkTarget { .. } | Self::HardLinkTarget { .. } => {
                "pack the tree anew with `tar -C ROOTFS -c .`".to_owned()
            }
            Self::Parent { .. } => {
                "pack the files under the path that the link leads to".to_owned()
            }
            Self::Kind { .. } => "pack the tree anew with `tar --format=pax`".to_owned(),
            Self::TooLarge { .. } | Self::TooManyEntries { .. } => {
                "raise the image limits in the configuration if the archive is trusted".to_owned()
            }
            Self::Truncated => "copy or download the archive again".to_owned(),
            Self::Read(_) => "give a tar, plain or compressed with gzip, xz or zstd".to_owned(),
            Self::Write { .. } => "see that the state directory has room".to_owned(),
        })
    }
}
