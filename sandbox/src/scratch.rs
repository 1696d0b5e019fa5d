//! Removing what a jail left in a scratch directory.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmod, openat, renameat, statat, unlinkat},
    io::Errno,
};

const HERE: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `dir` and all below it, whatever the modes and however deep; a `dir` that does not exist
/// is removed already. Follows no symbolic link. No jail may be using it.
///
/// # Errors
/// The first thing that could not be removed; what is left can be removed by another call.
pub fn remove_scratch(dir: &Path) -> io::Result<()> {
    let top = match open_for_removal(CWD, dir) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    // A directory's own directories are moved up here before it is removed, so neither the stack
    // nor the descriptors used grow with the depth that a build chose.
    let mut moved = 0_u64;
    loop {
        let directories = empty_of_files(&top)?;
        if directories.is_empty() {
            break;
        }
        for name in directories {
            let child = open_for_removal(&top, &name)?;
            for inner in empty_of_files(&child)? {
                // Moving a directory changes it, so it too must be writable.
                drop(open_for_removal(&child, &inner)?);
                move_up(&child, &inner, &top, &mut moved)?;
            }
            // Removing an open directory costs the file system much more.
            drop(child);
            unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(unlinkat(CWD, dir, AtFlags::REMOVEDIR)?)
}

/// Opens a directory and makes sure that its owner can change it.
fn open_for_removal(
    parent: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg,
) -> Result<OwnedFd, Errno> {
    let here = openat(parent, name, HERE, Mode::empty())?;
    // The open directory itself, not what its name leads to by now.
    chmod(format!("/proc/self/fd/{}", here.as_raw_fd()), Mode::RWXU)?;
    openat(&here, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Removes everything but directories, which it lists.
fn empty_of_files(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut directories = Vec::new();
    let mut names: Vec<CString> = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    for name in names {
        let stat = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            directories.push(name);
        } else {
            unlinkat(dir, &name, AtFlags::empty())?;
        }
    }
    Ok(directories)
}

fn move_up(from: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        match renameat(from, name, top, format!("moved-{moved}")) {
            // A directory of that name that is not empty.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
    }
}
