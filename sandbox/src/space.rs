//! Where a jail writes.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{Mode, OFlags, XattrFlags, fremovexattr, fsetxattr, mkdirat, open, openat},
    io::Errno,
};

use crate::{
    meter::Place,
    stage::{About, DIRECTORY, StageError, is_empty},
};

/// Where the jail's bytes go: a directory that the jail does not see as such.
pub(crate) struct ScratchSpace {
    pub(crate) dir: OwnedFd,
    pub(crate) place: Place,
}

impl ScratchSpace {
    /// Takes a host directory, which must be empty: what an earlier jail left would be seen.
    pub(crate) fn on_disk(dir: &Path) -> Result<Self, StageError> {
        let space = Self::reopened(dir)?;
        if !is_empty(&space.dir, c".")? {
            return Err(Errno::NOTEMPTY.into());
        }
        Ok(space)
    }

    /// Takes a host directory with all that an earlier jail left in it.
    pub(crate) fn reopened(dir: &Path) -> Result<Self, StageError> {
        let dir = open(dir, OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        Ok(Self { dir, place: Place::Disk })
    }

    /// Fails where files cannot carry the attributes that an overlay keeps in its upper layer.
    pub(crate) fn check_xattrs(&self) -> Result<(), Errno> {
        fsetxattr(&self.dir, "user.kbs", b"", XattrFlags::empty())?;
        fremovexattr(&self.dir, "user.kbs")
    }

    /// Makes the directory that an overlay works in. One that was used is no good again: the overlay
    /// of the earlier jail left a mark in it that nothing was written to disk.
    pub(crate) fn make_work(&self) -> Result<OwnedFd, StageError> {
        const TRIES: u32 = 1000;
        for number in 0..TRIES {
            let name = format!("work-{number}");
            match mkdirat(&self.dir, &name, Mode::RWXU) {
                Ok(()) => return self.make(&name, 0o700),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno).about(name),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Makes a directory in it if it is not there, and opens it.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<OwnedFd, StageError> {
        match mkdirat(&self.dir, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).about(name),
        }
        Ok(openat(&self.dir, name, OFlags::RDONLY | DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
    }
}
