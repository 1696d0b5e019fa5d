//! Completes the directory of an output: hard links to blobs, copies where links cannot be had.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};

use crate::blobs::hash_of;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::ingest::{check_target, finish_file};
use crate::layout::{Executable, Layout, Purpose, Variant};
use crate::parallel;
use crate::store::Store;

/// Makes `into` hold `tree`, of which it has the files in `there` and some directories; returns what has
/// to be synced, but for those files.
///
/// Directories below `into` have their final mode; `into` itself stays writable, because a
/// directory has to be for the rename that comes next.
pub(crate) fn check_out(
    layout: &Layout,
    tree: &Tree,
    into: &Path,
    there: &BTreeSet<RelPath>,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut unsynced = vec![into.to_owned()];
    let mut files = Vec::new();
    for (path, entry) in tree.iter() {
        let place = into.join(path.as_path());
        match entry {
            Entry::Directory => {
                disk::create_dir_if_absent(&place)?;
                unsynced.push(place);
            }
            Entry::Symlink { target } => {
                check_target(path, target)?;
                disk::symlink(target, &place)?;
            }
            Entry::File { .. } if there.contains(path) => {}
            Entry::File { blob, size: _, executable } => {
                let variant = Variant::of(Purpose::Output, Executable::of(*executable));
                files.push((*blob, variant, place));
            }
        }
    }
    let placed = parallel::for_each_little(files.len(), &|number| {
        let (blob, variant, place) = &files[number];
        place_blob(layout, *blob, *variant, place)
    })?;
    let copies = files.into_iter().zip(placed).filter(|(_, placed)| *placed == Placed::Copied);
    unsynced.extend(copies.map(|((_, _, place), _)| place));
    stamp_directories(tree, into, Purpose::Output)?;
    Ok(unsynced)
}

/// Gives the directories of a tree below `top` their mode and time, innermost first, and `top` itself
/// the time: a directory's changes with what is put into it.
pub(crate) fn stamp_directories(
    tree: &Tree,
    top: &Path,
    purpose: Purpose,
) -> Result<(), StoreError> {
    let directories: Vec<_> = tree
        .iter()
        .filter(|(_, entry)| **entry == Entry::Directory)
        .map(|(path, _)| path)
        .collect();
    for path in directories.into_iter().rev() {
        let place = top.join(path.as_path());
        disk::set_mode(&place, purpose.dir_mode())?;
        disk::set_mtime(&place)?;
    }
    disk::set_mode(top, 0o755)?;
    disk::set_mtime(top)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    Linked,
    Copied,
}

/// Gives a blob another name, or copies it where it has too many.
pub(crate) fn place_blob(
    layout: &Layout,
    id: BlobId,
    variant: Variant,
    place: &Path,
) -> Result<Placed, StoreError> {
    let blob = layout.blob(id, variant);
    match disk::hard_link(&blob, place) {
        Ok(()) => Ok(Placed::Linked),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::MissingBlob { id })
        }
        Err(error) if cannot_link(&error) => {
            copy_blob(&blob, id, variant, place).map(|()| Placed::Copied)
        }
        Err(error) => Err(error).at("link a blob to", place),
    }
}

impl Store {
    /// Gives a new file the name of its blob, too. Says whether it keeps its own: where it does not,
    /// the blob is to be placed there as any other.
    pub(crate) fn name_blob(
        &self,
        file: &Path,
        (id, variant): (BlobId, Variant),
    ) -> Result<bool, StoreError> {
        let blob = self.paths().blob(id, variant);
        let shared = self.replacing.read().unwrap_or_else(PoisonError::into_inner);
        match disk::hard_link(file, &blob) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if cannot_link(&error) => {}
            Err(error) => return Err(error).at("link a new blob to", &blob),
        }
        drop(shared);
        let _alone = self.replacing.write().unwrap_or_else(PoisonError::into_inner);
        if self.has_sound((id, variant))? {
            disk::remove_file(file)?;
        } else {
            disk::rename(file, &blob, "rename a new blob to")?;
        }
        Ok(false)
    }
}

/// Whether the file system has no more links for this file, or none at all.
pub(crate) fn cannot_link(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported
    )
}

/// Copies a file that should hold a blob, sharing its bytes where the file system can, and checks the
/// copy.
pub(crate) fn copy_blob(
    from: &Path,
    id: BlobId,
    variant: Variant,
    place: &Path,
) -> Result<(), StoreError> {
    match fs::copy(from, place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::MissingBlob { id });
        }
        copied => copied.at("copy a blob to", place)?,
    };
    let mut file = File::open(place).at("open", place)?;
    if hash_of(&mut file).at("read", place)? != id {
        return Err(StoreError::CorruptBlob { id, path: from.to_owned() });
    }
    finish_file(&file, variant).at("set the mode and time of", place)
}
