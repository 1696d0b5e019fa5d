//! Where things wait that are on their way into the store.

use std::fs::File;
use std::path::PathBuf;

use kbs_plan::path::RelPath;
use rustix::fs::syncfs;

use crate::disk::{self, sync};
use crate::error::{At as _, StoreError};
use crate::layout::Layout;
use crate::sweep::remove_tree;

/// Above this many, one sync of the whole file system is quicker than one for each; below, it
/// would wait for other programs' writes.
const FEW: usize = 64;

/// A directory in `scratch/` that goes away with this value.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
    /// Open from the beginning: the kernel tells it of every write that failed since.
    opened: File,
}

impl Stage {
    pub(crate) fn new(layout: &Layout) -> Result<Self, StoreError> {
        let path = disk::create_temporary_dir(&layout.scratch(), "stage-")?;
        let opened = File::open(&path).at("open", &path)?;
        Ok(Self { path, opened })
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of a tree on its way.
    pub(crate) fn tree(&self) -> PathBuf {
        self.join("tree")
    }

    /// Where something of that tree belongs.
    pub(crate) fn place(&self, path: &RelPath) -> PathBuf {
        self.tree().join(path.as_path())
    }

    /// Syncs files and directories that were written since this stage was made, so that they survive a
    /// power cut, in as few waits as possible.
    pub(crate) fn settle(&self, paths: &[PathBuf]) -> Result<(), StoreError> {
        if paths.len() > FEW {
            return self.settle_all();
        }
        paths.iter().try_for_each(|path| sync(path))
    }

    /// Syncs the whole file system.
    pub(crate) fn settle_all(&self) -> Result<(), StoreError> {
        disk::step("sync")
            .and_then(|()| Ok(syncfs(&self.opened)?))
            .at("sync the file system of", &self.path)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            // Opening the store sweeps it.
            tracing::warn!(path = %self.path.display(), %error, "a staging directory stays");
        }
    }
}
