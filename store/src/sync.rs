//! Makes what was written survive a power cut, in as few waits as possible.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{At as _, StoreError};

/// Above this many, one sync of the whole file system is quicker than one for each; below, it
/// would wait for other programs' writes.
const FEW: usize = 64;

/// Syncs the content of every file and directory in `paths`, which are all on the file system of
/// `root`.
pub(crate) fn settle(root: &Path, paths: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
    if paths.len() > FEW {
        let root_dir = File::open(root).at("open", root)?;
        return rustix::fs::syncfs(&root_dir).at("sync the file system of", root);
    }
    paths
        .iter()
        .try_for_each(|path| File::open(path).and_then(|file| file.sync_all()).at("sync", path))
}
