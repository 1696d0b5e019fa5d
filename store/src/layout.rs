//! Where everything is: every path below the state directory, and nothing about its content.

use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey, Id};

use crate::row::Ending;
use crate::thing::Thing;

/// Whether a file may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Executable {
    /// Mode 0555 in outputs, 0755 in source trees.
    Yes,
    /// Mode 0444 in outputs, 0644 in source trees.
    No,
}

impl Executable {
    /// Reads the flag of a tree entry.
    pub(crate) const fn of(executable: bool) -> Self {
        if executable { Self::Yes } else { Self::No }
    }
}

/// What a tree is made for; decides the modes of its files and directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Kept and handed out: nothing may be written.
    Output,
    /// Lower layer of a build's source directory, or of its root: modes as a checkout has them.
    Source,
}

impl Purpose {
    /// Mode of every directory.
    pub(crate) const fn dir_mode(self) -> u32 {
        match self {
            Self::Output => 0o555,
            Self::Source => 0o755,
        }
    }
}

/// One of the inodes that may hold a blob's bytes. Mode belongs to the inode, so that hard links
/// of one mode share it, and other modes need another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variant {
    pub(crate) mode: u32,
    suffix: &'static str,
}

impl Variant {
    pub(crate) const ALL: [Self; 4] = [
        Self { mode: 0o444, suffix: "" },
        Self { mode: 0o555, suffix: "-x" },
        Self { mode: 0o644, suffix: "-w" },
        Self { mode: 0o755, suffix: "-wx" },
    ];

    /// What the name of a blob's file says; `None` for any other name.
    pub(crate) fn of_file_name(name: &str) -> Option<(BlobId, Self)> {
        let (hex, suffix) = name.split_at_checked(64)?;
        let variant = Self::ALL.into_iter().find(|variant| variant.suffix == suffix)?;
        Some((hex.parse().ok()?, variant))
    }

    pub(crate) const fn of(purpose: Purpose, executable: Executable) -> Self {
        let [plain, run, write, write_run] = Self::ALL;
        match (purpose, executable) {
            (Purpose::Output, Executable::No) => plain,
            (Purpose::Output, Executable::Yes) => run,
            (Purpose::Source, Executable::No) => write,
            (Purpose::Source, Executable::Yes) => write_run,
        }
    }
}

/// The time of change of everything in outputs and source trees, in seconds and nanoseconds since
/// the epoch: one second, because some tools take zero for "not there".
pub(crate) const MTIME: (i64, i64) = (1, 0);

/// Every path below one state directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The state directory itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says "this is a state directory" and of which layout.
    pub fn marker(&self) -> PathBuf {
        self.root.join("kbs-state")
    }

    /// The file that the one process using the store holds locked; its content is that pid.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where a daemon of this directory listens, unless it was told another place.
    pub fn socket(&self) -> PathBuf {
        self.root.join("kbsd.sock")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("kbs.redb")
    }

    /// The directory of blobs, parted by their first two hex digits.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The directory of a blob, and of all whose names begin alike.
    pub(crate) fn blob_dir(&self, id: BlobId) -> PathBuf {
        self.root.join(format!("blobs/{}", &id.hex()[..2]))
    }

    pub(crate) fn blob(&self, id: BlobId, variant: Variant) -> PathBuf {
        self.blob_dir(id).join(format!("{}{}", id.hex(), variant.suffix))
    }

    /// The directory of output trees.
    pub fn outputs(&self) -> PathBuf {
        self.root.join("outputs")
    }

    /// The tree of the output that was built as `key` under `name`.
    pub fn output(&self, key: BuildKey, name: &str) -> PathBuf {
        self.root.join(format!("outputs/{}-{name}", key.hex()))
    }

    /// The directory of source trees.
    pub fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    /// One layer of sources.
    pub fn layer(&self, name: [u8; 32]) -> PathBuf {
        self.root.join(format!("sources/{}", hex(name)))
    }

    /// The directory of what the database can be rebuilt from.
    pub fn metas(&self) -> PathBuf {
        self.root.join("meta")
    }

    /// All that is known of the output of `key`; its row can be made again from it.
    pub fn meta(&self, key: BuildKey) -> PathBuf {
        self.root.join(format!("meta/{}.json", key.hex()))
    }

    /// All that is known of the latest failure of `key`.
    pub fn failure_meta(&self, key: BuildKey) -> PathBuf {
        self.root.join(format!("meta/{}.failed.json", key.hex()))
    }

    /// The listing of a layer or an image, or all that is known of an output.
    pub(crate) fn meta_of(&self, thing: Thing) -> PathBuf {
        match thing {
            Thing::Output(key) => self.meta(key),
            Thing::Layer(name) => self.root.join(format!("meta/layer-{}.json", hex(name))),
            Thing::Image(name) => self.root.join(format!("meta/image-{}.json", hex(name))),
        }
    }

    /// What image names stand for.
    pub fn image_names(&self) -> PathBuf {
        self.root.join("meta/image-names.json")
    }

    /// The directory of roots.
    pub fn roots(&self) -> PathBuf {
        self.root.join("roots")
    }

    /// The directory of unpacked toolchain images.
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The directory of the git repository.
    pub fn git(&self) -> PathBuf {
        self.root.join("git")
    }

    /// The directory of build logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of `key`: of its output, or of its latest failure.
    pub fn log(&self, key: BuildKey, ending: Ending) -> PathBuf {
        let suffix = match ending {
            Ending::Succeeded => "",
            Ending::Failed => ".failed",
        };
        self.root.join(format!("logs/{}{suffix}.zst", key.hex()))
    }

    /// An image, by the SHA-256 of its manifest.
    pub(crate) fn image(&self, name: [u8; 32]) -> PathBuf {
        self.root.join(format!("images/sha256-{}", hex(name)))
    }

    /// The directory of an image's files, unpacked.
    pub(crate) fn rootfs(&self, image: [u8; 32]) -> PathBuf {
        self.image(image).join("rootfs")
    }

    /// The file that is there while a process has the store open, and after it was killed.
    pub(crate) fn open_marker(&self) -> PathBuf {
        self.root.join("open")
    }

    /// A file that holds room: on a full disk it goes first, so that a collection can begin.
    pub(crate) fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// Where a database that was replaced stays.
    pub(crate) fn kept_database(&self, why: &str) -> PathBuf {
        self.root.join(format!("kbs.redb.{why}"))
    }

    /// The directory of things that may be deleted whenever no process holds the lock.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Every directory that [`Store::open`](crate::Store::open) makes.
    pub(crate) fn directories(&self) -> [PathBuf; 9] {
        [
            self.blobs(),
            self.outputs(),
            self.sources(),
            self.metas(),
            self.images(),
            self.git(),
            self.logs(),
            self.roots(),
            self.scratch(),
        ]
    }
}

fn hex(name: [u8; 32]) -> String {
    Id::<()>::from_bytes(name).hex()
}
