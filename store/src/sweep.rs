//! Removes directory trees that nobody uses any more, however a build left them.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, statat, unlinkat};
use rustix::io::Errno;

/// Removes a directory and everything below it; one that is not there is removed already.
///
/// Read-only directories are no obstacle. Trees deeper than any path or stack can hold are taken
/// apart level by level: what lies two levels down is first moved to the top. Symbolic links are
/// removed, never followed. Nothing may write to the tree meanwhile.
///
/// # Errors
/// The first refusal of the kernel; the rest of the tree stays.
pub fn remove_tree(top: &Path) -> io::Result<()> {
    match fs::symlink_metadata(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => return fs::remove_file(top),
        Ok(_) => {}
    }
    empty_tree(top)?;
    fs::remove_dir(top)
}

/// Removes everything below a directory, and leaves the directory.
pub(crate) fn empty_tree(top: &Path) -> io::Result<()> {
    unlock(top)?;
    let dir = openat(CWD, top, DIRECTORY, Mode::empty())?;
    if empty_shallow(dir, DEPTH_MAX)? == Left::Nothing {
        return Ok(());
    }
    let mut free_name = FreeName { top: top.to_owned(), next: 0 };
    loop {
        let mut is_empty = true;
        for child in fs::read_dir(top)? {
            is_empty = false;
            let child = child?;
            if child.file_type()?.is_dir() {
                lift_directories(&child.path(), &mut free_name)?;
                fs::remove_dir(child.path())?;
            } else {
                fs::remove_file(child.path())?;
            }
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// Levels that are gone through one in the other, with a directory open for each.
const DEPTH_MAX: u32 = 32;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a removal could not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Something,
}

/// Removes everything in an open directory that lies so many levels below it and no more.
fn empty_shallow(dir: OwnedFd, levels: u32) -> io::Result<Left> {
    let mut left = Left::Nothing;
    let mut entries = Dir::new(dir)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let (name, dir) = (entry.file_name(), entries.fd()?);
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_dir = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let facts = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(facts.st_mode) == FileType::Directory
            }
            _ => false,
        };
        if !is_dir {
            unlinkat(dir, name, AtFlags::empty())?;
        } else if levels == 0 {
            left = Left::Something;
        } else {
            chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            // What is left there, the removal of the directory tells.
            empty_shallow(openat(dir, name, DIRECTORY, Mode::empty())?, levels - 1)?;
            match unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Ok(()) => {}
                // It is deeper than that.
                Err(Errno::NOTEMPTY) => left = Left::Something,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(left)
}

/// Empties `dir`: files go, directories move to the top.
fn lift_directories(dir: &Path, free_name: &mut FreeName) -> io::Result<()> {
    unlock(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Moving a directory rewrites its `..`, which needs permission to write to it.
            unlock(&entry.path())?;
            free_name.take(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn unlock(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

struct FreeName {
    top: PathBuf,
    next: u64,
}

impl FreeName {
    /// Moves a directory to the top, under a name that nothing there has.
    fn take(&mut self, dir: &Path) -> io::Result<()> {
        loop {
            self.next += 1;
            match fs::rename(dir, self.top.join(format!("lifted-{}", self.next))) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::DirectoryNotEmpty
                            | io::ErrorKind::AlreadyExists
                            | io::ErrorKind::NotADirectory
                    ) => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_locks_and_names_are_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        // 40 levels of 250 bytes: twice the longest path that a call can name.
        let name = "d".repeat(250);
        for _ in 0..40 {
            let outer = dir.path().join("outer");
            fs::create_dir(&outer).unwrap();
            fs::write(outer.join("lifted-1"), "in the way").unwrap();
            fs::rename(&top, outer.join(&name)).unwrap();
            fs::rename(&outer, &top).unwrap();
        }
        fs::create_dir_all(top.join("locked/inner")).unwrap();
        for path in ["locked/inner", "locked"] {
            fs::set_permissions(top.join(path), Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        std::os::unix::fs::symlink(&kept, top.join("link")).unwrap();
        remove_tree(&top).unwrap();
        assert!(kept.join("file").exists());
    }
}
