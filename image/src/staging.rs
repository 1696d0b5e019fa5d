//! Where an image is put together before it takes its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::archive::StagedTree;

/// A directory of its own in the scratch directory, deleted with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    dir: TempDir,
}

impl Staging {
    pub(crate) fn new(scratch: &Path) -> io::Result<Self> {
        fs::create_dir_all(scratch)?;
        let dir = tempfile::Builder::new().prefix("image-").tempdir_in(scratch)?;
        fs::create_dir(dir.path().join("aside"))?;
        Ok(Self { dir })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts an empty tree of this name; its path comes with it.
    pub(crate) fn tree(&self, name: &str) -> io::Result<(StagedTree, PathBuf)> {
        let path = self.path().join(name);
        Ok((StagedTree::create(&path, &self.path().join("aside"))?, path))
    }

    /// Deletes it now, and says where that fails.
    pub(crate) fn close(self) -> io::Result<()> {
        self.dir.close()
    }
}
