//! A directory as a list of paths, and its canonical bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{BlobId, IdHasher, TreeId};
use crate::path::RelPath;

/// What stands at one path. Owner, times and other mode bits are not part of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Entry {
    /// A regular file.
    File {
        /// Its bytes.
        blob: BlobId,
        /// Its length in bytes.
        size: u64,
        /// Whether it may be run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: String,
    },
    /// A directory, listed so that empty ones are kept.
    Directory,
}

/// A directory: every path below it, parents included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    entries: BTreeMap<RelPath, Entry>,
}

/// A path cannot stand in the tree because something else is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be added: `{taken}` is there already and is not a directory")]
pub struct TreeError {
    path: RelPath,
    taken: RelPath,
}

impl Tree {
    /// Adds an entry and the directories above it.
    ///
    /// Adding a directory that exists changes nothing.
    ///
    /// # Errors
    /// [`TreeError`] where the path, or a directory above it, is taken by something else.
    pub fn insert(&mut self, path: RelPath, entry: Entry) -> Result<(), TreeError> {
        if let Some(parent) = path.parent() {
            match self.entries.get(&parent) {
                Some(Entry::Directory) => {}
                Some(_) => {
                    return Err(TreeError { path, taken: parent });
                }
                None => self.insert(parent, Entry::Directory)?,
            }
        }
        match (self.entries.get(&path), &entry) {
            (None, _) => {
                self.entries.insert(path, entry);
                Ok(())
            }
            (Some(Entry::Directory), Entry::Directory) => Ok(()),
            (Some(_), _) => Err(TreeError { taken: path.clone(), path }),
        }
    }

    /// Every path with what stands there, in byte order: a directory before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&RelPath, &Entry)> {
        self.entries.iter()
    }

    /// What stands at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Every file: path, blob and size in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&RelPath, BlobId, u64)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File { blob, size, executable: _ } => Some((path, *blob, *size)),
            Entry::Symlink { .. } | Entry::Directory => None,
        })
    }

    /// Sum of the sizes of all files, in bytes.
    pub fn size_b(&self) -> u64 {
        self.files().map(|(_, _, size)| size).sum()
    }

    /// Number of entries, directories included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The id: a hash over every entry in order, each field length-prefixed.
    ///
    /// Docs: `docs/KEYS.md`, "trees".
    pub fn id(&self) -> TreeId {
        let mut hasher = IdHasher::new();
        for (path, entry) in &self.entries {
            field(&mut hasher, path.as_str().as_bytes());
            match entry {
                Entry::Directory => field(&mut hasher, b"directory"),
                Entry::Symlink { target } => {
                    field(&mut hasher, b"symlink");
                    field(&mut hasher, target.as_bytes());
                }
                Entry::File { blob, size, executable } => {
                    field(&mut hasher, if *executable { b"executable" } else { b"file" });
                    field(&mut hasher, blob.as_bytes());
                    field(&mut hasher, &size.to_le_bytes());
                }
            }
        }
        hasher.finish()
    }
}

fn field(hasher: &mut IdHasher<crate::id::Directory>, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn file(bytes: &[u8]) -> Entry {
        Entry::File { blob: BlobId::of(bytes), size: bytes.len() as u64, executable: false }
    }

    #[test]
    fn parents_are_listed_and_conflicts_refused() {
        let mut tree = Tree::default();
        tree.insert(path("a/b/c"), file(b"1")).unwrap();
        let listed: Vec<_> = tree.iter().map(|(p, _)| p.as_str()).collect();
        assert_eq!(listed, ["a", "a/b", "a/b/c"]);
        assert!(tree.insert(path("a/b/c/d"), file(b"2")).is_err());
        assert!(tree.insert(path("a/b"), file(b"2")).is_err());
        assert!(tree.insert(path("a/b"), Entry::Directory).is_ok());
    }

    #[test]
    fn every_field_moves_the_id() {
        let of = |entry: Entry| {
            let mut tree = Tree::default();
            tree.insert(path("x"), entry).unwrap();
            tree.id()
        };
        let Entry::File { blob, size, .. } = file(b"1") else { unreachable!() };
        let ids = [
            of(file(b"1")),
            of(file(b"2")),
            of(Entry::File { blob, size, executable: true }),
            of(Entry::File { blob, size: 7, executable: false }),
            of(Entry::Symlink { target: "1".into() }),
            of(Entry::Directory),
            Tree::default().id(),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    // Changing this changes the identity of every output ever made.
    #[test]
    fn the_bytes_never_move() {
        let mut tree = Tree::default();
        tree.insert(path("out/fw.bin"), file(b"firmware")).unwrap();
        tree.insert(path("latest"), Entry::Symlink { target: "out/fw.bin".into() }).unwrap();
        insta::assert_snapshot!(tree.id(), @"tree:adb34eab709549a01b0544dae361df6a5a7674684c8583eff3e1ca267439c933");
    }
}
