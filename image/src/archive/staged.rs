//! A tree being written from untrusted names: nothing is ever followed out of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use kbs_plan::path::RelPath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens,
    linkat, mkdirat, openat, renameat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

const BUFFER_B: usize = 256 << 10;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The time that every file of an image carries: one second after the epoch, because some tools
/// take zero for "unknown".
pub(crate) const MTIME: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
};

/// A directory that is filled entry by entry.
///
/// Every path is walked component by component from the directory's descriptor and no symbolic
/// link is followed on the way, so an entry cannot lead out of the tree whatever came before it.
/// What has to go is moved aside, into a directory that is deleted with the staging area.
pub(crate) struct StagedTree {
    root: OwnedFd,
    aside: OwnedFd,
    aside_count: u64,
    /// The directory of the last entry: archives list a directory's files together.
    last_parent: Option<(String, OwnedFd)>,
    buffer: Vec<u8>,
}

impl StagedTree {
    /// Creates the empty directory `root`; `aside` exists, on the same file system.
    pub(crate) fn create(root: &Path, aside: &Path) -> io::Result<Self> {
        mkdirat(CWD, root, Mode::RWXU)?;
        let root = openat(CWD, root, DIRECTORY, Mode::empty())?;
        let aside = openat(CWD, aside, DIRECTORY, Mode::empty())?;
        Ok(Self { root, aside, aside_count: 0, last_parent: None, buffer: vec![0; BUFFER_B] })
    }

    /// Makes a directory, or keeps the one that is there; anything else there is replaced.
    pub(crate) fn directory(&mut self, path: &RelPath) -> io::Result<()> {
        self.place(path, |parent, name| match mkdirat(parent, name, Mode::RWXU) {
            Err(Errno::EXIST) if kind(parent, name)? == Some(FileType::Directory) => Ok(()),
            made => made,
        })
    }

    /// Writes a file of what `data` yields and returns its size; what was there is replaced.
    pub(crate) fn file(
        &mut self,
        path: &RelPath,
        executable: bool,
        data: &mut dyn Read,
    ) -> io::Result<u64> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = self.place(path, |parent, name| openat(parent, name, flags, Mode::RUSR))?;
        let mut file = File::from(fd);
        let mut size_b = 0;
        loop {
            let count = match data.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            file.write_all(&self.buffer[..count])?;
            size_b += count as u64;
        }
        fchmod(&file, Mode::from_raw_mode(if executable { 0o755 } else { 0o644 }))?;
        futimens(&file, &MTIME)?;
        Ok(size_b)
    }

    /// Makes a symbolic link; what was there is replaced.
    pub(crate) fn symlink(&mut self, path: &RelPath, target: &str) -> io::Result<()> {
        self.place(path, |parent, name| {
            symlinkat(target, parent, name)?;
            utimensat(parent, name, &MTIME, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Makes `path` another name of the file or symbolic link `original`.
    ///
    /// `Ok(false)` where `original` is neither.
    pub(crate) fn hard_link(&mut self, path: &RelPath, original: &RelPath) -> io::Result<bool> {
        let name = original.file_name();
        let Some(parent) = self.walk(original, Missing::Stop)? else { return Ok(false) };
        if !matches!(kind(&parent, name)?, Some(FileType::RegularFile | FileType::Symlink)) {
            return Ok(false);
        }
        if path != original {
            self.place(path, |into, new| linkat(&parent, name, into, new, AtFlags::empty()))?;
        }
        Ok(true)
    }

    /// The names in the directory `path`, in no order; none where it is not a directory.
    pub(crate) fn names(&mut self, path: Option<&RelPath>) -> io::Result<Vec<String>> {
        let dir = match path {
            None => self.root.try_clone()?,
            Some(path) => {
                let Some(parent) = self.walk(path, Missing::Stop)? else { return Ok(Vec::new()) };
                match openat(&parent, path.file_name(), DIRECTORY, Mode::empty()) {
                    Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => return Ok(Vec::new()),
                    opened => opened?,
                }
            }
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_str().expect("only UTF-8 names were written");
            if !matches!(name, "." | "..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Takes `path` and all below it out of the tree; nothing there is fine.
    pub(crate) fn remove(&mut self, path: &RelPath) -> io::Result<()> {
        match self.walk(path, Missing::Stop)? {
            Some(parent) => match self.set_aside(&parent, path.file_name()) {
                Err(Errno::NOENT) => Ok(()),
                moved => Ok(moved?),
            },
            None => Ok(()),
        }
    }

    /// Runs `make` in the parent of `path`; where the name is taken, once more with it free.
    fn place<T>(
        &mut self,
        path: &RelPath,
        make: impl Fn(&OwnedFd, &str) -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        let name = path.file_name();
        let parent = self
            .walk(path, Missing::Create)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotADirectory))?;
        let made = match make(&parent, name) {
            Err(Errno::EXIST) => {
                self.set_aside(&parent, name)?;
                make(&parent, name)
            }
            other => other,
        };
        let (dir, _) = path.as_str().rsplit_once('/').unwrap_or_default();
        self.last_parent = Some((dir.to_owned(), parent));
        Ok(made?)
    }

    /// Opens the directory that holds `path`. `None` where it is missing or not a directory.
    fn walk(&mut self, path: &RelPath, missing: Missing) -> io::Result<Option<OwnedFd>> {
        let (dir, _) = path.as_str().rsplit_once('/').unwrap_or_default();
        if let Some((last, fd)) = self.last_parent.take_if(|(last, _)| last == dir) {
            drop(last);
            return Ok(Some(fd));
        }
        let mut at = self.root.try_clone()?;
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            at = match openat(&at, name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if missing == Missing::Create => {
                    mkdirat(&at, name, Mode::RWXU)?;
                    openat(&at, name, DIRECTORY, Mode::empty())?
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                opened => opened?,
            };
        }
        Ok(Some(at))
    }

    fn set_aside(&mut self, parent: &OwnedFd, name: &str) -> rustix::io::Result<()> {
        self.last_parent = None;
        self.aside_count += 1;
        renameat(parent, name, &self.aside, self.aside_count.to_string())
    }
}

impl std::fmt::Debug for StagedTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedTree").finish_non_exhaustive()
    }
}

/// What to do about a directory on the way that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Stop,
}

/// What stands at `name`, itself if it is a link.
fn kind(parent: impl AsFd, name: &str) -> rustix::io::Result<Option<FileType>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => Ok(Some(FileType::from_raw_mode(stat?.st_mode))),
    }
}
