//! Source trees: directories that a build's overlay can lie on, made of blobs, made once.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use kbs_plan::error::{Class, Help};
use kbs_plan::id::TreeId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};

use crate::blobs::looks_stored;
use crate::checkout::check_out;
use crate::error::{At as _, StoreError};
use crate::ingest::{Batch, check_target};
use crate::layout::{Executable, Purpose, Variant};
use crate::store::Store;
use crate::sync::settle;

/// One entry of a source tree on its way in.
#[derive(Debug)]
pub struct SourceEntry<'a, E> {
    /// Where it belongs; directories above it need no entry of their own.
    pub path: RelPath,
    /// What it is.
    pub kind: SourceKind<'a, E>,
}

/// What a source entry is.
pub enum SourceKind<'a, E> {
    /// A regular file.
    File {
        /// Whether it may be run.
        executable: Executable,
        /// Its id in git, by which it is recognised the next time without being read.
        git_oid: Option<[u8; 20]>,
        /// Gets its bytes; not called for a file that is recognised.
        read: Box<dyn FnOnce() -> Result<Vec<u8>, E> + 'a>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written.
        target: String,
    },
    /// A directory, which may stay empty.
    Directory,
}

impl<E> fmt::Debug for SourceKind<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { executable, git_oid, read: _ } => f
                .debug_struct("File")
                .field("executable", executable)
                .field("git_oid", git_oid)
                .finish_non_exhaustive(),
            Self::Symlink { target } => f.debug_struct("Symlink").field("target", target).finish(),
            Self::Directory => f.write_str("Directory"),
        }
    }
}

/// A source tree could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum SourceError<E: Error + 'static> {
    /// An entry, or its bytes, could not be had.
    #[error(transparent)]
    Entry(E),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E: Help + 'static> Help for SourceError<E> {
    fn class(&self) -> Class {
        match self {
            Self::Entry(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Entry(error) => error.help(),
            Self::Store(error) => error.help(),
        }
    }
}

impl Store {
    /// The directory of a source tree, if it is there.
    pub fn source(&self, tree: TreeId) -> Option<PathBuf> {
        Some(self.paths().source(tree)).filter(|path| path.is_dir())
    }

    /// Stores a source tree; returns its id and its directory.
    ///
    /// Directories have mode 0755, files 0644 or 0755, everything one time of change, and every file
    /// one name: what else is stored cannot be seen. The directory is for reading, whatever the
    /// modes say.
    ///
    /// # Errors
    /// [`SourceError::Entry`] with the first error of the iterator or of an entry's `read`,
    /// [`SourceError::Store`]; the tree is not there then, blobs of it may be.
    pub fn ingest_source<E: Error + 'static>(
        &self,
        entries: &mut dyn Iterator<Item = Result<SourceEntry<'_, E>, E>>,
    ) -> Result<(TreeId, PathBuf), SourceError<E>> {
        let mut batch = Batch::new(self.paths(), Purpose::Source)?;
        let mut tree = Tree::default();
        let mut learned = Vec::new();
        for entry in entries {
            let SourceEntry { path, kind } = entry.map_err(SourceError::Entry)?;
            let entry = match kind {
                SourceKind::Directory => Entry::Directory,
                SourceKind::Symlink { target } => {
                    check_target(&path, &target)?;
                    Entry::Symlink { target }
                }
                SourceKind::File { executable, git_oid, read } => {
                    let variant = Variant::of(Purpose::Source, executable);
                    let found = match git_oid {
                        Some(oid) => self.git_blob(&oid)?.filter(|(blob, size_b)| {
                            looks_stored(&self.paths().blob(*blob, variant), *size_b, variant)
                        }),
                        None => None,
                    };
                    let (blob, size) = if let Some(found) = found {
                        found
                    } else {
                        let bytes = read().map_err(SourceError::Entry)?;
                        let taken = batch.take(&path, executable, &mut bytes.as_slice())?;
                        learned.extend(git_oid.map(|oid| (oid, taken)));
                        taken
                    };
                    Entry::File { blob, size, executable: executable == Executable::Yes }
                }
            };
            tree.insert(path, entry).map_err(StoreError::from)?;
        }
        let path = self.place_source(batch, &tree)?;
        self.remember_git_blobs(&learned)?;
        Ok((tree.id(), path))
    }

    fn place_source(&self, batch: Batch<'_>, tree: &Tree) -> Result<PathBuf, StoreError> {
        let root = self.paths().root();
        let place = self.paths().source(tree.id());
        let (stage, mut unsynced) = batch.place()?;
        if !place.is_dir() {
            let staged = stage.join("tree");
            unsynced.extend(check_out(self.paths(), tree, &staged, Purpose::Source)?);
            // The directory's name is believed, so what is in it has to be safe before.
            settle(root, &unsynced)?;
            unsynced.clear();
            match fs::rename(&staged, &place) {
                Ok(()) => {}
                // Somebody else stored the same tree meanwhile.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                    ) => {}
                Err(error) => return Err(error).at("rename a new source tree to", &place),
            }
            unsynced.insert(self.paths().sources());
        }
        settle(root, &unsynced)?;
        Ok(place)
    }
}
