//! Copying a source tree, for file systems that cannot be a layer of an overlay.

use std::{ffi::CStr, os::fd::OwnedFd};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, fchmod, futimens,
        ioctl_ficlone, mkdirat, openat, readlinkat, sendfile, statat, symlinkat, utimensat,
    },
    io::Errno,
};

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);
/// No source is deeper; the copy goes down by calling itself.
const DEPTH_MAX: usize = 512;

/// Copies what is in `from` into the directory `to`: files (sharing their blocks where the file
/// system can), directories and symbolic links, with modes and times of modification.
///
/// Both may have a directory of the same name, which becomes what it is in `from`. Anything else
/// that is there already is an error.
pub(crate) fn copy_tree(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    copy_below(from, to, DEPTH_MAX)
}

fn copy_below(from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Errno> {
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let below = make_dir(to, name)?;
                copy_below(&openat(from, name, DIRECTORY, Mode::empty())?, &below, depth)?;
                finish(&below, &stat)?;
            }
            FileType::RegularFile => {
                let reads = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let writes = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let source = openat(from, name, reads, Mode::empty())?;
                let copy = openat(to, name, writes, Mode::RUSR | Mode::WUSR)?;
                copy_bytes(&source, &copy)?;
                finish(&copy, &stat)?;
            }
            FileType::Symlink => {
                symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
                utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            // Sockets, pipes and devices: no version control holds any, and none leads anywhere here.
            _ => {}
        }
    }
    Ok(())
}

/// Makes a directory, or makes the one that is there writable.
fn make_dir(to: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let made = mkdirat(to, name, Mode::RWXU);
    if made != Err(Errno::EXIST) {
        made?;
    }
    let dir = openat(to, name, DIRECTORY, Mode::empty())?;
    if made.is_err() {
        fchmod(&dir, Mode::RWXU)?;
    }
    Ok(dir)
}

fn copy_bytes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    const CHUNK_B: usize = 1 << 30;
    // Not on this file system, or not from that one: then byte by byte.
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    while sendfile(to, from, None, CHUNK_B)? > 0 {}
    Ok(())
}

fn finish(copy: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    futimens(copy, &times(stat))
}

fn times(stat: &Stat) -> Timestamps {
    let modified =
        Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.try_into().unwrap_or(0) };
    Timestamps { last_access: modified, last_modification: modified }
}
