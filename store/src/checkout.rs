//! Makes a directory of a tree: hard links to blobs, copies where links cannot be had.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use kbs_plan::id::BlobId;
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::{AtFlags, CWD, utimensat};

use crate::blobs::hash_of;
use crate::error::{At as _, StoreError};
use crate::ingest::{check_target, finish_file, fixed_times};
use crate::layout::{Executable, Layout, Purpose, Variant};

/// Makes `into`, which does not exist, hold `tree`; returns what has to be synced.
///
/// Directories below `into` have their final mode; `into` itself stays writable, because a
/// directory has to be for the rename that comes next.
pub(crate) fn check_out(
    layout: &Layout,
    tree: &Tree,
    into: &Path,
    purpose: Purpose,
) -> Result<BTreeSet<PathBuf>, StoreError> {
    fs::create_dir(into).at("create", into)?;
    let mut unsynced = BTreeSet::from([into.to_owned()]);
    let mut directories = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, entry) in tree.iter() {
        let place = into.join(path.as_path());
        match entry {
            Entry::Directory => {
                fs::create_dir(&place).at("create", &place)?;
                directories.push(place);
            }
            Entry::Symlink { target } => {
                check_target(path, target)?;
                symlink(target, &place).at("create", &place)?;
                set_mtime(&place)?;
            }
            Entry::File { blob, size: _, executable } => {
                let variant = Variant::of(purpose, Executable::of(*executable));
                // In a work tree equal files are files of their own; a build that makes an archive
                // of it must not take them for two names of one.
                let placed = if purpose == Purpose::Source && !seen.insert((*blob, *executable)) {
                    copy_blob(&layout.blob(*blob, variant), *blob, variant, &place)?;
                    Placed::Copied
                } else {
                    place_blob(layout, *blob, variant, &place)?
                };
                if let Placed::Copied = placed {
                    unsynced.insert(place);
                }
            }
        }
    }
    // A directory's time changes with what is put into it: last, and innermost first.
    for place in directories.iter().rev() {
        set_mode(place, purpose.dir_mode())?;
        set_mtime(place)?;
    }
    set_mode(into, 0o755)?;
    set_mtime(into)?;
    unsynced.extend(directories);
    Ok(unsynced)
}

/// Sets a directory's permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).at("set the mode of", path)
}

fn set_mtime(path: &Path) -> Result<(), StoreError> {
    utimensat(CWD, path, &fixed_times(), AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
}

enum Placed {
    Linked,
    Copied,
}

fn place_blob(
    layout: &Layout,
    id: BlobId,
    variant: Variant,
    place: &Path,
) -> Result<Placed, StoreError> {
    let blob = layout.blob(id, variant);
    match fs::hard_link(&blob, place) {
        Ok(()) => Ok(Placed::Linked),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::MissingBlob { id })
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices
            ) =>
        {
            copy_blob(&blob, id, variant, place)?;
            Ok(Placed::Copied)
        }
        Err(error) => Err(error).at("link a blob to", place),
    }
}

/// Copies a blob, and checks the copy.
pub(crate) fn copy_blob(
    blob: &Path,
    id: BlobId,
    variant: Variant,
    place: &Path,
) -> Result<(), StoreError> {
    fs::copy(blob, place).at("copy a blob to", place)?;
    let mut file = File::open(place).at("open", place)?;
    if hash_of(&mut file).at("read", place)? != id {
        return Err(StoreError::CorruptBlob { id, path: blob.to_owned() });
    }
    finish_file(&file, variant).at("set the mode and time of", place)
}
