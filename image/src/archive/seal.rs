//! Reads a staged tree back: its directories get their final shape, the whole its digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kbs_plan::path::RelPath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, futimens, openat, readlinkat, statat,
};

use super::canonical::{Canonical, Contents};
use super::staged::MTIME;

/// Gives every directory of the tree its mode and time, and hashes the tree.
///
/// # Errors
/// As [`measure`].
pub(crate) fn seal(root: &Path) -> io::Result<Contents> {
    stamp_directory(&open_directory(CWD, root)?)?;
    walk(root, stamp_directory)
}

/// Hashes the tree.
///
/// # Errors
/// Any that reading the tree gives; something that is neither file, directory nor link.
pub(crate) fn measure(root: &Path) -> io::Result<Contents> {
    walk(root, |_| Ok(()))
}

/// Gives a directory the mode and time that every directory of an image has.
pub(crate) fn stamp_directory(dir: &OwnedFd) -> io::Result<()> {
    fchmod(dir, Mode::from_raw_mode(0o755))?;
    Ok(futimens(dir, &MTIME)?)
}

/// Opens a directory that is no link.
pub(crate) fn open_directory(above: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(above, path, flags, Mode::empty())?)
}

/// Goes through the tree in order. Every path is opened from the root's descriptor: one as long
/// as paths may be would not fit behind the path of the root.
fn walk(root: &Path, on_directory: impl Fn(&OwnedFd) -> io::Result<()>) -> io::Result<Contents> {
    let root = open_directory(CWD, root)?;
    let mut canonical = Canonical::new(io::sink());
    let mut buffer = vec![0; 256 << 10];
    for path in paths(&root)? {
        let about = statat(&root, path.as_path(), AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => {
                on_directory(&open_directory(&root, path.as_path())?)?;
                canonical.directory(&path)?;
            }
            FileType::Symlink => {
                let target = readlinkat(&root, path.as_path(), Vec::new())?;
                let target = target.to_str().map_err(|_| io::ErrorKind::InvalidData)?;
                canonical.symlink(&path, target)?;
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(openat(&root, path.as_path(), flags, Mode::empty())?);
                let shape = (about.st_mode & 0o111 != 0, file.metadata()?.len());
                canonical.file(&path, shape, &mut file, |data| drain(data, &mut buffer))?;
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    canonical.finish()
}

fn drain(data: &mut dyn Read, buffer: &mut [u8]) -> io::Result<u64> {
    let mut total = 0;
    loop {
        match data.read(buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// Every path below `root`, in byte order.
fn paths(root: &OwnedFd) -> io::Result<Vec<RelPath>> {
    let mut found = Vec::new();
    let mut open = list(root, "")?;
    while let Some((path, is_directory)) = open.pop() {
        if is_directory {
            let dir = open_directory(root, path.as_path())?;
            open.extend(list(&dir, &format!("{path}/"))?);
        }
        found.push(path);
    }
    found.sort_unstable();
    Ok(found)
}

/// What is in one directory: each path, and whether it is a directory itself.
fn list(dir: &OwnedFd, prefix: &str) -> io::Result<Vec<(RelPath, bool)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let about = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(about.st_mode) == FileType::Directory
            }
            known => known == FileType::Directory,
        };
        let path = RelPath::from_bytes(&[prefix.as_bytes(), name.to_bytes()].concat());
        found.push((path.map_err(io::Error::other)?, is_directory));
    }
    Ok(found)
}
