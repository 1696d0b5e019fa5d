//! Makes a directory of a tree: hard links to blobs for outputs, copies for work trees and where links
//! cannot be had.

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
                // In a work tree every file has one name: how many others it has would be seen by a
                // build, and differ by what else is stored.
                let placed = match purpose {
                    Purpose::Source => copy_blob(layout, *blob, variant, &place)?,
                    Purpose::Output => place_blob(layout, *blob, variant, &place)?,
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

#[derive(Debug)]
pub(crate) enum Placed {
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
            copy_blob(layout, id, variant, place)
        }
        Err(error) => Err(error).at("link a blob to", place),
    }
}

/// Copies a blob, sharing its bytes where the file system can, and checks the copy.
pub(crate) fn copy_blob(
    layout: &Layout,
    id: BlobId,
    variant: Variant,
    place: &Path,
) -> Result<Placed, StoreError> {
    let blob = layout.blob(id, variant);
    match fs::copy(&blob, place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::MissingBlob { id });
        }
        copied => copied.at("copy a blob to", place)?,
    };
    let mut file = File::open(place).at("open", place)?;
    if hash_of(&mut file).at("read", place)? != id {
        return Err(StoreError::CorruptBlob { id, path: blob });
    }
    finish_file(&file, variant).at("set the mode and time of", place)?;
    Ok(Placed::Copied)
}
