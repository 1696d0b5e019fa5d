//! Every change to the state directory's files: what it is for is said with each, and in this
//! crate's tests each can fail, or be the last thing that the process does. Those that need more
//! than is here call [`step`] themselves.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, AtFlags, CWD, fadvise, utimensat};

use crate::error::{At as _, StoreError, no_room};
#[cfg(test)]
pub(crate) use crate::faults::step;
use crate::ingest::fixed_times;

/// The disk takes smaller files better many at a time.
const WORTH_BEGINNING_B: u64 = 64 << 10;

/// So much is written at a time. What comes at once, the page cache keeps in memory that lies together;
/// of that a virtual machine may have given back what it does not use, and has to ask for it again:
/// with pieces of megabytes, a tree took twice as long.
const PIECE_B: usize = 64 << 10;

/// Announces a change, whose error it may have: outside of the tests nothing stands between a change
/// and the kernel.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in the tests it fails")]
pub(crate) const fn step(_what: &'static str) -> io::Result<()> {
    Ok(())
}

/// Makes a directory that is not there.
pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    step("create a directory").and_then(|()| fs::create_dir(path)).at("create", path)
}

/// Makes a directory, or finds it made; says whether it was.
pub(crate) fn create_dir_if_absent(path: &Path) -> Result<bool, StoreError> {
    match step("create a directory").and_then(|()| fs::create_dir(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).at("create", path),
    }
}

/// Makes a directory with a name that nothing else has.
pub(crate) fn create_temporary_dir(parent: &Path, prefix: &str) -> Result<PathBuf, StoreError> {
    step("create a directory")
        .and_then(|()| tempfile::Builder::new().prefix(prefix).tempdir_in(parent))
        .map(tempfile::TempDir::keep)
        .at("make a directory in", parent)
}

/// Makes a file that is not there, open for writing.
pub(crate) fn create_file(path: &Path) -> Result<File, StoreError> {
    step("create a file").and_then(|()| File::create_new(path)).at("create", path)
}

/// Appends to a file; `done_b` bytes of it are written, `whole_b` will be, as far as is known.
pub(crate) fn write(
    file: &mut File,
    bytes: &[u8],
    path: &Path,
    (done_b, whole_b): (u64, u64),
) -> Result<(), StoreError> {
    let mut pieces = bytes.chunks(PIECE_B);
    let written = step("write").and_then(|()| pieces.try_for_each(|piece| file.write_all(piece)));
    written.map_err(|error| {
        let missing_b = whole_b.saturating_sub(done_b).max(bytes.len() as u64);
        no_room("write", path, missing_b, error)
    })
}

/// Writes a small file, with nothing special about it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = create_file(path)?;
    write(&mut file, bytes, path, (0, bytes.len() as u64))
}

/// Moves to where nothing is, or over what is there.
pub(crate) fn rename(from: &Path, to: &Path, action: &'static str) -> Result<(), StoreError> {
    try_rename(from, to).at(action, to)
}

/// As [`rename`], for who wants to know why not.
pub(crate) fn try_rename(from: &Path, to: &Path) -> io::Result<()> {
    step("rename")?;
    fs::rename(from, to)
}

/// Gives a file another name.
pub(crate) fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    step("link")?;
    fs::hard_link(from, to)
}

/// Makes a symbolic link with the one time.
pub(crate) fn symlink(target: &str, place: &Path) -> Result<(), StoreError> {
    step("make a symbolic link")
        .and_then(|()| std::os::unix::fs::symlink(target, place))
        .at("create", place)?;
    set_mtime(place)
}

/// Removes a file; says whether it was there.
pub(crate) fn remove_file(path: &Path) -> Result<bool, StoreError> {
    match step("remove a file").and_then(|()| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// Removes an empty directory, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match step("remove a directory").and_then(|()| fs::remove_dir(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Sets a directory's permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    step("set a mode")
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .at("set the mode of", path)
}

/// Gives a file, directory or symbolic link the one time.
pub(crate) fn set_mtime(path: &Path) -> Result<(), StoreError> {
    utimensat(CWD, path, &fixed_times(), AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
}

/// Has the disk begin with a written file of so many bytes, where that is worth it: a sync that comes
/// later finds less left. It is needed all the same, and tells what the disk refused.
pub(crate) fn begin_sync(file: &File, size_b: u64) {
    // On this advice Linux sends what is dirty, and waits for nothing.
    if size_b >= WORTH_BEGINNING_B
        && let Err(error) = fadvise(file, 0, None, Advice::DontNeed)
    {
        tracing::debug!(%error, "the disk begins later");
    }
}

/// Syncs a file or a directory, so that it survives a power cut.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    step("sync").and_then(|()| File::open(path)).and_then(|file| file.sync_all()).at("sync", path)
}

/// Bytes that an ordinary user may still write where `path` is.
pub(crate) fn free_b(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
