//! Measuring a scratch directory on disk, in a process of its own.
//!
//! A build can shut its directories, and they may be many. So a child of the helper walks: it joins
//! the jail's user namespace, where no mode keeps it out of what the jail owns, and the helper goes on
//! serving meanwhile.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, fstatvfs, openat, statat},
    io::Errno,
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use serde::{Deserialize, Serialize};

use crate::{
    sys::{
        self,
        clone::{Cloned, clone_into},
        process::exit_now,
    },
    wire,
};

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// What a scratch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Bytes of storage.
    pub(crate) bytes: u64,
    /// Files and directories.
    pub(crate) files: u64,
}

impl Measured {
    /// More than any limit: what could not be measured must not go on.
    pub(crate) const TOO_MUCH: Self = Self { bytes: u64::MAX, files: u64::MAX };

    /// What the file system of `dir` holds, by its own count.
    pub(crate) fn of_file_system(dir: &OwnedFd) -> Result<Self, Errno> {
        let stat = fstatvfs(dir)?;
        Ok(Self {
            bytes: stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize,
            files: stat.f_files.saturating_sub(stat.f_ffree),
        })
    }

    fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, files: self.files + other.files }
    }
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Walk {
    pid: Pid,
    answer: OwnedFd,
    started: Instant,
}

impl Walk {
    /// Starts to measure `dir`, as the jail whose user namespace is `user`, and what the processes in
    /// `proc` hold without a name.
    pub(crate) fn start(
        dir: &OwnedFd,
        proc: Option<&OwnedFd>,
        user: &OwnedFd,
    ) -> Result<Self, Errno> {
        let (answer, theirs) = wire::connection()?;
        match clone_into(&[], None)? {
            Cloned::Child => {
                let measured =
                    move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))
                        .and_then(|()| {
                            let unnamed = proc.map(unnamed).transpose()?.unwrap_or_default();
                            Ok(measure(dir)?.and(unnamed))
                        });
                let sent = wire::send(&theirs, &measured.ok(), &[]);
                exit_now(i32::from(sent.is_err()))
            }
            Cloned::Parent { pid, pidfd: _ } => Ok(Self { pid, answer, started: Instant::now() }),
        }
    }

    /// Becomes readable at the end of the walk.
    pub(crate) fn answer(&self) -> &OwnedFd {
        &self.answer
    }

    /// Ends the walk: what it found and how long it took.
    pub(crate) fn end(self) -> (Measured, Duration) {
        let answer = wire::receive::<Option<Measured>>(&self.answer, wire::MAX_FROM_JAIL_B);
        let _reaped = sys::process::reap(self.pid);
        let measured = match answer {
            Ok(Some((Some(measured), _))) => measured,
            _ => Measured::TOO_MUCH,
        };
        (measured, self.started.elapsed())
    }
}

/// Adds up everything below `top`. What vanishes meanwhile is not counted.
fn measure(top: &OwnedFd) -> Result<Measured, Errno> {
    let mut all = Measured::default();
    // Files with several names, counted once.
    let mut seen = BTreeSet::new();
    let mut stack = vec![Dir::new(openat(top, ".", DIRECTORY, Mode::empty())?)?];
    while let Some(dir) = stack.last_mut() {
        let Some(entry) = dir.read() else {
            stack.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let here = dir.fd()?;
        let stat = match statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        if stat.st_nlink > 1
            && FileType::from_raw_mode(stat.st_mode) != FileType::Directory
            && !seen.insert(stat.st_ino)
        {
            continue;
        }
        all.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        all.files += 1;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            match openat(here, name, DIRECTORY, Mode::empty()) {
                Ok(below) => stack.push(Dir::new(below)?),
                // Gone, or replaced.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(all)
}

/// Adds up the files that have no name any more and that a process holds open.
fn unnamed(proc: &OwnedFd) -> Result<Measured, Errno> {
    let mut all = Measured::default();
    let mut seen = BTreeSet::new();
    for process in Dir::read_from(proc)? {
        let process = process?;
        let number = process.file_name().to_bytes();
        if !number.iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that has ended holds nothing.
        let Ok(held) = openat(proc, [number, b"/fd"].concat(), DIRECTORY, Mode::empty()) else {
            continue;
        };
        for file in Dir::read_from(&held)?.flatten() {
            let Ok(stat) = statat(&held, file.file_name(), AtFlags::empty()) else { continue };
            if stat.st_nlink == 0
                && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && seen.insert((stat.st_dev, stat.st_ino))
            {
                all.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
                all.files += 1;
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn everything_is_counted_once_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("big"), vec![1; 1 << 20]).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(dir.path().join("a/b/file"), dir.path().join("again")).unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        let top = rustix::fs::open(dir.path(), DIRECTORY, Mode::empty()).unwrap();
        let measured = measure(&top).unwrap();
        assert_eq!(measured.files, 4);
        assert!((100_000..500_000).contains(&measured.bytes), "{measured:?}");
    }
}
