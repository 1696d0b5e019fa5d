//! How much an archive may make of itself.

use crate::digest::ImageDigest;

/// Bounds on what one image may unpack to. What exceeds them is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sum of all bytes that come out of decompression, and of all bytes written. 32 GiB.
    pub unpacked_b: u64,
    /// Number of entries in all layers together. 4 million.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked_b: 32 << 30, entries: 4_000_000 }
    }
}

/// Something worth showing while an image is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// So much of an archive or a layer is unpacked.
    Unpacked {
        /// Entries so far.
        entries: u64,
        /// Bytes so far.
        size_b: u64,
    },
    /// So many of the host's files are copied.
    Copied {
        /// Files so far.
        files: u64,
        /// Files in all.
        files_total: u64,
        /// Bytes so far.
        size_b: u64,
    },
    /// The entry cannot be part of an image and was left out.
    Skipped {
        /// Where it stands in the archive.
        path: String,
        /// What it is: `device`, `fifo`.
        kind: &'static str,
    },
    /// The image is known by its name, and about to be in its place.
    Named {
        /// Its name.
        digest: ImageDigest,
        /// Whether it lies there already; its files were not looked at then.
        is_here: bool,
    },
    /// An optional program or package is not on the host.
    Absent {
        /// Its name as asked.
        name: String,
    },
}
