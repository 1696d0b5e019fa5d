//! Where the bytes are.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{At as _, StoreError};
use crate::store::Store;

/// What one part of the state directory needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartUsage {
    /// Its name in the state directory.
    pub name: String,
    /// Number of files, whatever they share.
    pub files: u64,
    /// Sum of their sizes, in bytes.
    pub size_b: u64,
    /// Bytes of disk that they need and no earlier part does.
    pub disk_b: u64,
}

impl Store {
    /// Measures every part of the state directory, file by file. What several parts share counts for
    /// the first of them: blobs, then outputs, then the others.
    ///
    /// # Errors
    /// [`StoreError::Io`]; what goes away meanwhile is not counted.
    pub fn usage(&self) -> Result<Vec<PartUsage>, StoreError> {
        let root = self.paths().root();
        let mut names = vec!["blobs".to_owned(), "outputs".to_owned()];
        let mut others = BTreeSet::new();
        for entry in fs::read_dir(root).at("list", root)? {
            let name = entry.at("list", root)?.file_name().to_string_lossy().into_owned();
            if !names.contains(&name) {
                others.insert(name);
            }
        }
        names.extend(others);
        let mut seen = BTreeSet::new();
        let measured = names.into_iter().map(|name| measure(&root.join(&name), name, &mut seen));
        Ok(measured.collect())
    }
}

fn measure(top: &Path, name: String, seen: &mut BTreeSet<(u64, u64)>) -> PartUsage {
    let mut part = PartUsage { name, files: 0, size_b: 0, disk_b: 0 };
    let mut ahead: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(path) = ahead.pop() {
        let Ok(facts) = fs::symlink_metadata(&path) else { continue };
        if facts.is_dir() {
            part.disk_b += facts.blocks() * 512;
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            ahead.extend(entries.map(|entry| entry.path()));
            continue;
        }
        part.files += 1;
        part.size_b += facts.len();
        let is_new = facts.nlink() <= 1 || seen.insert((facts.dev(), facts.ino()));
        if is_new {
            part.disk_b += facts.blocks() * 512;
        }
    }
    part
}
