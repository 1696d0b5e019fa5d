//! The files of a bundle, opened beneath its directory and never through a link out of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use serde::de::DeserializeOwned;

use super::BundleError;
use crate::digest::Digest;
use crate::manifest::Descriptor;

/// Largest document in bytes; registries refuse manifests of more than 4 MiB.
const DOCUMENT_MAX_B: u64 = 16 << 20;

/// The directory of a bundle.
#[derive(Debug)]
pub(crate) struct Members {
    dir: Dir,
}

impl Members {
    pub(crate) fn open(path: &Path) -> Result<Self, BundleError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(|source| BundleError::Open { path: path.to_owned(), source })?;
        Ok(Self { dir })
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.dir.symlink_metadata(member).is_ok_and(|about| about.is_file())
    }

    /// Opens a plain file; its size in bytes comes with it.
    pub(crate) fn file(&self, member: &str) -> Result<(File, u64), BundleError> {
        let opened = || {
            let mut options = OpenOptions::new();
            // A fifo in the directory must not stop us.
            options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
            let file = self.dir.open_with(member, &options)?.into_std();
            let about = file.metadata()?;
            if about.is_file() {
                Ok((file, about.len()))
            } else {
                Err(io::Error::other("it is not a plain file"))
            }
        };
        opened().map_err(|source| BundleError::Member { member: member.to_owned(), source })
    }

    /// Reads a document whole.
    pub(crate) fn bytes(&self, member: &str) -> Result<Vec<u8>, BundleError> {
        let (file, size_b) = self.file(member)?;
        let mut bytes = Vec::new();
        let read = file.take(DOCUMENT_MAX_B).read_to_end(&mut bytes);
        read.and_then(|_| match size_b {
            0..DOCUMENT_MAX_B => Ok(bytes),
            _ => Err(io::Error::other("it is larger than any image document")),
        })
        .map_err(|source| BundleError::Member { member: member.to_owned(), source })
    }

    /// Reads the document that `descriptor` points at and checks size and digest.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, BundleError> {
        let member = blob_path(descriptor.digest);
        let bytes = self.bytes(&member)?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(BundleError::Damaged { member, expected: descriptor.digest, found });
        }
        if bytes.len() as u64 != descriptor.size {
            return Err(BundleError::Size { member, expected_b: descriptor.size });
        }
        Ok(bytes)
    }
}

/// Where a layout keeps the bytes of this digest.
pub(crate) fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads a JSON document.
pub(crate) fn parse<T: DeserializeOwned>(member: &str, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes)
        .map_err(|source| BundleError::Parse { member: member.to_owned(), source })
}
