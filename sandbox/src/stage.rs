//! Building the jail's file system.
//!
//! The new root is laid over the old one at `/`. Paths still start at the old root, which the
//! process keeps until it pivots, so host paths stay reachable whatever they are; the new root is
//! reached through a descriptor only.

use std::{
    ffi::CStr,
    fmt,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, XattrFlags, fremovexattr, fsetxattr, fstat,
        mkdirat, open, openat, readlinkat, statat, symlinkat, unlinkat,
    },
    io::{Errno, retry_on_intr, write},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
        OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
    },
    path::Arg,
    process::{chdir, fchdir, pivot_root},
};

use crate::{
    Input, JailFile, JailPath, Part, ResultDirs,
    sys::mount::{Reach, restrict},
};

/// Why a part of the file system could not be built.
#[derive(Debug)]
pub(crate) struct StageError {
    pub(crate) errno: Errno,
    /// Which path or option, when the operation has several.
    pub(crate) detail: Option<String>,
}

impl From<Errno> for StageError {
    fn from(errno: Errno) -> Self {
        Self { errno, detail: None }
    }
}

/// Names what an `errno` is about.
trait About<T> {
    fn about(self, what: impl fmt::Display) -> Result<T, StageError>;
}

impl<T, E: Into<StageError>> About<T> for Result<T, E> {
    fn about(self, what: impl fmt::Display) -> Result<T, StageError> {
        self.map_err(|error| {
            let StageError { errno, detail } = error.into();
            StageError { errno, detail: detail.or_else(|| Some(what.to_string())) }
        })
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// Never opens what a symbolic link leads to.
const LOOK_HERE: OFlags = LOOK.union(OFlags::NOFOLLOW);
const SAFE: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const READ_ONLY: MountAttrFlags = SAFE.union(MountAttrFlags::MOUNT_ATTR_RDONLY);
/// Entries of the image that are not shown, because the jail has its own.
const OWN: [&[u8]; 7] = [b".", b"..", b"build", b"dev", b"proc", b"sys", b"tmp"];
/// Directories of the new root that always exist.
const SKELETON: [&str; 10] = [
    "build",
    "build/src",
    "build/out",
    "build/home",
    "build/tools",
    "dev",
    "dev/shm",
    "proc",
    "sys",
    "tmp",
];

/// Makes every mount private: nothing done here is seen outside, and nothing outside here.
pub(crate) fn stop_propagation() -> Result<(), Errno> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// The new root while it is being built.
pub(crate) struct Stage {
    root: OwnedFd,
}

/// Where the jail's bytes go: a directory that the jail does not see as such.
pub(crate) struct ScratchSpace {
    dir: OwnedFd,
}

impl Stage {
    /// Lays an empty root over the old one.
    pub(crate) fn new() -> Result<Self, StageError> {
        let root = new_mount("tmpfs", &[("mode", "0755")], SAFE)?;
        move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        for path in SKELETON {
            mkdirat(&root, path, Mode::from_raw_mode(0o755)).about(path)?;
        }
        Ok(Self { root })
    }

    /// Shows every entry of an image's top directory, read-only.
    pub(crate) fn show_image(&self, host: &Path) -> Result<(), StageError> {
        let image = open(host, OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        for entry in Dir::read_from(&image)? {
            let entry = entry?;
            let name = entry.file_name();
            if OWN.contains(&name.to_bytes()) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = statat(&image, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            self.show_entry(&image, name, kind).about(name.to_string_lossy())?;
        }
        Ok(())
    }

    fn show_entry(&self, image: &OwnedFd, name: &CStr, kind: FileType) -> Result<(), StageError> {
        match kind {
            FileType::Symlink => {
                symlinkat(readlinkat(image, name, Vec::new())?, &self.root, name)?;
                return Ok(());
            }
            FileType::Directory => {
                mkdirat(&self.root, name, Mode::from_raw_mode(0o755))?;
                // Mounts cost time when the jail ends, and images are full of empty directories.
                if is_empty(image, name)? {
                    return Ok(());
                }
            }
            FileType::RegularFile => create_empty(&self.root, name)?,
            // A build has no use for sockets and devices of its image.
            _ => return Ok(()),
        }
        let tree = clone_tree(image, name, READ_ONLY, Reach::Tree)?;
        attach(&tree, &openat(&self.root, name, LOOK_HERE, Mode::empty())?)?;
        Ok(())
    }

    /// Makes scratch space in memory. Its mount stays hidden below the jail's `/tmp`, because only
    /// directories of a mount that is attached somewhere can be bound.
    pub(crate) fn scratch_in_memory(&self, size_b: u64) -> Result<ScratchSpace, StageError> {
        let size = size_b.to_string();
        let dir = new_mount("tmpfs", &[("mode", "0700"), ("size", &size)], SAFE)?;
        attach(&dir, &self.look("tmp")?)?;
        let dir = openat(&dir, ".", OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        Ok(ScratchSpace { dir })
    }

    /// Shows the source, with a writable layer over it.
    pub(crate) fn mount_source(
        &self,
        scratch: &ScratchSpace,
        host: &Path,
    ) -> Result<(), StageError> {
        // Without them the mount would succeed, and fail the build when it replaces a directory.
        scratch.check_xattrs().about("user xattrs on the scratch space")?;
        let lower = open(host, LOOK | DIRECTORY, Mode::empty()).about("the source")?;
        let upper = scratch.make("upper", 0o755)?;
        let work = scratch.make("work", 0o755)?;
        attach(&mount_overlay(&lower, &upper, &work)?, &self.look("build/src")?)
    }

    /// Shows a part of the scratch space.
    pub(crate) fn bind_part(&self, scratch: &ScratchSpace, part: Part) -> Result<(), StageError> {
        scratch.make(part.name(), part.mode())?;
        let tree = clone_tree(&scratch.dir, part.name(), SAFE, Reach::Mount)?;
        attach(&tree, &self.look(part.inside())?)
    }

    /// Shows a device of the host.
    pub(crate) fn bind_device(&self, name: &str) -> Result<(), StageError> {
        let path = format!("dev/{name}");
        create_empty(&self.root, path.as_str())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let tree = clone_tree(CWD, format!("/{path}"), attributes, Reach::Mount)?;
        attach(&tree, &self.look(&path)?)
    }

    /// Makes the usual names for a process's own descriptors.
    pub(crate) fn link_descriptors(&self) -> Result<(), Errno> {
        symlinkat("/proc/self/fd", &self.root, "dev/fd")?;
        for (number, name) in ["dev/stdin", "dev/stdout", "dev/stderr"].into_iter().enumerate() {
            symlinkat(format!("/proc/self/fd/{number}"), &self.root, name)?;
        }
        Ok(())
    }

    /// Mounts a `/proc` that has the jail's processes, and nothing of the host. Process 1, which
    /// nobody may trace, is hidden.
    pub(crate) fn mount_proc(&self) -> Result<(), StageError> {
        let attributes = READ_ONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let options = [("subset", "pid"), ("hidepid", "ptraceable")];
        attach(&new_mount("proc", &options, attributes)?, &self.look("proc")?)
    }

    /// Shows an input, making the directories on the way.
    pub(crate) fn bind_input(&self, input: &Input) -> Result<(), StageError> {
        let Input { host, inside } = input;
        let tree = clone_tree(CWD, host, READ_ONLY, Reach::Tree).about("the input")?;
        let (parent, name) = self.make_parent(inside)?;
        if FileType::from_raw_mode(fstat(&tree)?.st_mode) == FileType::Directory {
            make_dir(&parent, name)?;
        } else {
            create_empty(&parent, name)?;
        }
        attach(&tree, &openat(&parent, name, LOOK_HERE, Mode::empty())?)
    }

    /// Opens the directories that the caller reads when the jail is over.
    pub(crate) fn result_dirs(&self) -> Result<ResultDirs, Errno> {
        let dir = |path| openat(&self.root, path, OFlags::RDONLY | DIRECTORY, Mode::empty());
        Ok(ResultDirs { src: dir("build/src")?, out: dir("build/out")? })
    }

    /// Makes the new root the only one.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        fchdir(&self.root)?;
        // Puts the old root on top of the new one, from where it is taken away.
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        chdir("/")
    }

    /// Writes a file, replacing a file or symbolic link of that name.
    pub(crate) fn write_file(&self, file: &JailFile) -> Result<(), StageError> {
        let JailFile { path, bytes, mode } = file;
        let (parent, name) = self.make_parent(path)?;
        match unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).about("replacing what was there"),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::from_raw_mode(*mode))?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let written = retry_on_intr(|| write(&file, rest))?;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Makes the root, and what was written to it, read-only.
    pub(crate) fn freeze(&self) -> Result<(), Errno> {
        restrict(&self.root, READ_ONLY, Reach::Mount)
    }

    /// Finds a path whose directories are all ours.
    fn look(&self, path: &str) -> Result<OwnedFd, Errno> {
        openat(&self.root, path, LOOK_HERE, Mode::empty())
    }

    /// Makes the directories that lead to `path`; the last of them and the last name. A symbolic
    /// link on the way, which the source may have put there, is an error.
    fn make_parent<'a>(&self, path: &'a JailPath) -> Result<(OwnedFd, &'a str), StageError> {
        let mut names = path.components();
        let last = names.next_back().ok_or(Errno::INVAL)?;
        let mut dir = self.root.try_clone().map_err(|_| Errno::MFILE)?;
        for name in names {
            make_dir(&dir, name).about(name)?;
            dir = openat(&dir, name, LOOK_HERE | DIRECTORY, Mode::empty()).about(name)?;
        }
        Ok((dir, last))
    }
}

impl ScratchSpace {
    /// Takes a host directory, which must be empty: what an earlier jail left would be seen.
    pub(crate) fn on_disk(dir: &Path) -> Result<Self, StageError> {
        let dir = open(dir, OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        if !is_empty(&dir, c".")? {
            return Err(Errno::NOTEMPTY.into());
        }
        Ok(Self { dir })
    }

    /// Fails where files cannot carry the attributes that an overlay keeps in its upper layer.
    pub(crate) fn check_xattrs(&self) -> Result<(), Errno> {
        fsetxattr(&self.dir, "user.kbs", b"", XattrFlags::empty())?;
        fremovexattr(&self.dir, "user.kbs")
    }

    /// Makes a directory in it, and opens it.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<OwnedFd, StageError> {
        mkdirat(&self.dir, name, Mode::from_raw_mode(mode)).about(name)?;
        Ok(openat(&self.dir, name, OFlags::RDONLY | DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
    }
}

/// Makes an overlay that is not attached anywhere yet.
pub(crate) fn mount_overlay(
    lower: &OwnedFd,
    upper: &OwnedFd,
    work: &OwnedFd,
) -> Result<OwnedFd, StageError> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Not by name: a name may hold what separates options.
    for (key, dir) in [("lowerdir", lower), ("upperdir", upper), ("workdir", work)] {
        let value = format!("/proc/self/fd/{}", dir.as_raw_fd());
        fsconfig_set_string(overlay.as_fd(), key, value.as_str()).about(key)?;
    }
    // Nobody mounts these layers again, so nothing needs to reach a disk when this one goes.
    for flag in ["userxattr", "volatile"] {
        fsconfig_set_flag(overlay.as_fd(), flag).about(flag)?;
    }
    fsconfig_create(overlay.as_fd()).about("create")?;
    Ok(fsmount(overlay.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, SAFE)?)
}

/// Makes a file system that is not attached anywhere yet.
fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, StageError> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(fs.as_fd(), *key, *value).about(key)?;
    }
    fsconfig_create(fs.as_fd()).about("create")?;
    Ok(fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Clones a part of the mount tree, adding `attributes`. What other mounts hide must stay hidden, so
/// only a [`Reach::Tree`] works for a directory that has mounts below it.
fn clone_tree(
    dir: impl AsFd,
    path: impl Arg,
    attributes: MountAttrFlags,
    reach: Reach,
) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if reach == Reach::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(dir, path, flags)?;
    restrict(&tree, attributes, reach)?;
    Ok(tree)
}

/// Attaches a mount or tree of mounts.
fn attach(tree: &OwnedFd, at: &OwnedFd) -> Result<(), StageError> {
    let here = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", at, "", here)?)
}

fn make_dir(dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn create_empty(dir: &OwnedFd, name: impl Arg) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(openat(dir, name, flags, Mode::from_raw_mode(0o644))?);
    Ok(())
}

/// Says whether a directory is known to have no entries.
fn is_empty(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    let dir = match openat(dir, name, OFlags::RDONLY | DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
    {
        Ok(dir) => dir,
        Err(Errno::ACCESS) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    for entry in Dir::new(dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
