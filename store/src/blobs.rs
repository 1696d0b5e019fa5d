//! Reads blobs back, and believes none that does not hash to its name.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::{Blob, BlobId, IdHasher};

use crate::error::{At as _, StoreError};
use crate::layout::{Layout, MTIME, Variant};
use crate::store::Store;

/// How much is read at a time.
pub(crate) const CHUNK_B: usize = 128 << 10;

/// Reads the bytes of one blob, hashing them on the way.
///
/// The last read fails with [`io::ErrorKind::InvalidData`] around a [`StoreError::CorruptBlob`]
/// where the bytes before it were not the blob's: only who reads to the end knows.
#[derive(Debug)]
pub struct BlobReader {
    id: BlobId,
    path: PathBuf,
    file: File,
    size_b: u64,
    hasher: IdHasher<Blob>,
}

impl BlobReader {
    fn open(layout: &Layout, id: BlobId) -> Result<Self, StoreError> {
        for variant in Variant::ALL {
            let path = layout.blob(id, variant);
            match File::open(&path) {
                Ok(file) => {
                    let size_b = file.metadata().at("inspect", &path)?.len();
                    return Ok(Self { id, path, file, size_b, hasher: IdHasher::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at("open", &path),
            }
        }
        Err(StoreError::MissingBlob { id })
    }

    /// Length of the file in bytes; to be believed when the end was reached without an error.
    pub fn size_b(&self) -> u64 {
        self.size_b
    }

    fn corrupt(&self) -> StoreError {
        StoreError::CorruptBlob { id: self.id, path: self.path.clone() }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.hasher.finish() != self.id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, self.corrupt()));
        }
        Ok(count)
    }
}

impl Store {
    /// Opens a blob for reading; its bytes are verified by the time the end is reached.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], [`StoreError::Io`].
    pub fn read_blob(&self, id: BlobId) -> Result<BlobReader, StoreError> {
        BlobReader::open(self.paths(), id)
    }

    /// Reads a whole blob into memory, verified.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], [`StoreError::CorruptBlob`], [`StoreError::Io`].
    pub fn blob_bytes(&self, id: BlobId) -> Result<Vec<u8>, StoreError> {
        let mut reader = self.read_blob(id)?;
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(reader.corrupt()),
            Err(error) => Err(error).at("read", &reader.path),
        }
    }
}

/// Hashes everything that `reader` has left.
pub(crate) fn hash_of(reader: &mut dyn Read) -> io::Result<BlobId> {
    hash_of_about(reader, CHUNK_B as u64)
}

/// As [`hash_of`]; there are about `size_b` bytes, so that a small file needs no large buffer.
pub(crate) fn hash_of_about(reader: &mut dyn Read, size_b: u64) -> io::Result<BlobId> {
    let mut hasher = IdHasher::new();
    // One more, so that the end is found without a larger one.
    let mut chunk = vec![
        0;
        usize::try_from(size_b)
            .map_or(CHUNK_B, |size_b| CHUNK_B.min(size_b.saturating_add(1)))
    ];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the file is there, looks as it was stored and holds exactly the bytes of `id`, which are
/// `size_b` long. A file that cannot be read holds nothing.
pub(crate) fn holds(path: &Path, id: BlobId, size_b: u64, variant: Variant) -> bool {
    size_as_stored(path, variant) == Some(size_b)
        && File::open(path)
            .and_then(|mut file| hash_of_about(&mut file, size_b))
            .is_ok_and(|found| found == id)
}

/// The size in bytes of a regular file that has its variant's mode and the one time, which every
/// write would have changed; `None` for any other: what a look-up may cost, no proof.
pub(crate) fn size_as_stored(path: &Path, variant: Variant) -> Option<u64> {
    let found = fs::symlink_metadata(path).ok()?;
    is_as_stored(&found, variant).then_some(found.len())
}

/// Whether it is a regular file with its variant's mode and the one time.
pub(crate) fn is_as_stored(found: &Metadata, variant: Variant) -> bool {
    found.is_file()
        && found.mode() & 0o7777 == variant.mode
        && (found.mtime(), found.mtime_nsec()) == MTIME
}
