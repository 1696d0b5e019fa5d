//! Building the jail's file system.
//!
//! The new root is laid over the old one at `/`. Paths still start at the old root, which the
//! process keeps until it pivots, so host paths stay reachable whatever they are; the new root is
//! reached through a descriptor only.

use std::{
    collections::BTreeSet,
    ffi::CStr,
    fmt,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, StatxFlags, Timespec, Timestamps, fstat,
        futimens, mkdirat, open, openat, readlinkat, statat, statx, symlinkat, unlinkat,
    },
    io::{Errno, fcntl_dupfd_cloexec, retry_on_intr, write},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
        OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
        fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
    },
    path::Arg,
    process::{chdir, fchdir, pivot_root},
};

use crate::{
    Input, JailFile, JailPath, Part, SOURCE_LAYERS_MAX, Wall,
    copy::copy_tree,
    meter::Place,
    space::ScratchSpace,
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
pub(crate) trait About<T> {
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

pub(crate) const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// Never opens what a symbolic link leads to.
const LOOK_HERE: OFlags = LOOK.union(OFlags::NOFOLLOW);
const NO_SET_ID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NO_DEVICES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NO_PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;
/// Entries of the image that are not shown, because the jail has its own.
const OWN: [&[u8]; 7] = [b".", b"..", b"build", b"dev", b"proc", b"sys", b"tmp"];
/// Directories of ours that would show what the image has of that name.
const COVERED: [&str; 3] = ["build", "dev", "sys"];
/// When the files were written that are written for a jail: at the same time in every jail.
const WRITTEN: Timestamps = {
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    Timestamps { last_access: second, last_modification: second }
};
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

/// Where our own directories are mounted while the root is built: somewhere in the old root where no
/// path of a spec leads. They go with the old root, and taking away each mount by itself takes time.
const ASIDE: &str = "/proc/self/fdinfo";

/// Makes every mount private: nothing done here is seen outside, and nothing outside here.
pub(crate) fn stop_propagation() -> Result<(), Errno> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// Takes the old root away, which lies over the new one, and what still lies over the old one.
pub(crate) fn leave_old_root() -> Result<(), Errno> {
    /// The old root and our skeleton, with room for what the host laid over its root itself.
    const LAYERS_MAX: u32 = 16;
    for _ in 0..LAYERS_MAX {
        unmount(".", UnmountFlags::DETACH)?;
        // The way up from the root leads to whatever lies over it.
        if mount_number("/..")? == mount_number("/")? {
            return chdir("/");
        }
    }
    Err(Errno::BUSY)
}

fn mount_number(path: &str) -> Result<u64, Errno> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
    let known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    if known { Ok(found.stx_mnt_id) } else { Err(Errno::OPNOTSUPP) }
}

/// The new root while it is being built.
pub(crate) struct Stage {
    /// What holds our own directories.
    skeleton: OwnedFd,
    /// The new root: the image over the skeleton, or the skeleton with the image's entries in it.
    root: OwnedFd,
    /// What is still written to, until it is frozen.
    own: Vec<OwnedFd>,
    read_only: MountAttrFlags,
    safe: MountAttrFlags,
    hides_first: bool,
}

/// How the source is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Below a writable layer.
    Layered,
    /// As a copy.
    Copied,
}

impl Stage {
    /// Makes the directories of ours.
    pub(crate) fn new(without: &BTreeSet<Wall>) -> Result<Self, StageError> {
        let unless = |wall, flags| {
            if without.contains(&wall) { MountAttrFlags::empty() } else { flags }
        };
        let safe = unless(Wall::SafeMounts, NO_SET_ID | NO_DEVICES);
        // Left to the kernel, they would tell the size of the machine's memory.
        let size = [("mode", "0755"), ("size", "64m"), ("nr_inodes", "64k")];
        let skeleton = new_mount("tmpfs", &size, safe)?;
        move_mount(&skeleton, "", CWD, ASIDE, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .about(ASIDE)?;
        for path in SKELETON {
            mkdirat(&skeleton, path, Mode::from_raw_mode(0o755)).about(path)?;
        }
        let root = openat(&skeleton, ".", LOOK | DIRECTORY, Mode::empty())?;
        let read_only = unless(Wall::ReadOnly, READ_ONLY);
        let hides_first = !without.contains(&Wall::HiddenFirst);
        Ok(Self { skeleton, root, own: Vec::new(), read_only, safe, hides_first })
    }

    /// Finds out whether the kernel can change the attributes of mounts.
    pub(crate) fn try_attributes(&self) -> Result<(), Errno> {
        restrict(&self.skeleton, self.safe, Reach::Mount)
    }

    /// Shows the image. One overlay names no directory of the host in the jail's table of mounts,
    /// and ends faster than a mount for every entry; the entries are for where it cannot be.
    pub(crate) fn show_image(&mut self, host: &Path) -> Result<(), StageError> {
        let image = open(host, OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        // An overlay without an upper layer is read-only whatever its attributes.
        let layered = match mount_image(&self.skeleton, &image, self.safe) {
            Ok(root) if self.read_only == READ_ONLY => root,
            _ => {
                let here = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(&self.skeleton, "", CWD, "/", here).about("/")?;
                return self.show_entries(&image);
            }
        };
        move_mount(&layered, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        self.root = layered;
        for name in COVERED {
            let tree = clone_tree(&self.skeleton, name, self.safe, Reach::Mount)?;
            attach(&tree, &self.look(name)?)?;
            self.own.push(tree);
        }
        Ok(())
    }

    /// Tries whether an image could be shown by an overlay.
    pub(crate) fn try_image(&self) -> Result<(), StageError> {
        // Layers may not lie in each other.
        mount_image(&self.look("tmp")?, &self.empty()?, self.safe).map(drop)
    }

    /// Shows every entry of an image's top directory.
    fn show_entries(&mut self, image: &OwnedFd) -> Result<(), StageError> {
        for entry in Dir::read_from(image)? {
            let entry = entry?;
            let name = entry.file_name();
            if OWN.contains(&name.to_bytes()) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = statat(image, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            self.show_entry(image, name, kind).about(name.to_string_lossy())?;
        }
        self.own.push(self.skeleton.try_clone().map_err(|_| Errno::MFILE)?);
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
        let tree = clone_tree(image, name, self.read_only | self.safe, Reach::Tree)?;
        attach(&tree, &openat(&self.root, name, LOOK_HERE, Mode::empty())?)?;
        Ok(())
    }

    /// Makes scratch space in memory. Its mount stays hidden below the jail's `/tmp`, because only
    /// directories of a mount that is attached somewhere can be bound.
    pub(crate) fn scratch_in_memory(
        &self,
        size_b: u64,
        files: u64,
    ) -> Result<ScratchSpace, StageError> {
        let (size, files) = (size_b.to_string(), files.to_string());
        let options = [("mode", "0700"), ("size", &size), ("nr_inodes", &files)];
        let dir = new_mount("tmpfs", &options, self.safe)?;
        attach(&dir, &self.look("tmp")?)?;
        let dir = openat(&dir, ".", OFlags::RDONLY | DIRECTORY, Mode::empty())?;
        Ok(ScratchSpace { dir, place: Place::Memory })
    }

    /// Shows the source, with a writable layer over it, or copies it where the kernel says that
    /// one of the file systems cannot be a layer.
    pub(crate) fn mount_source(
        &self,
        scratch: &ScratchSpace,
        layers: &[PathBuf],
    ) -> Result<Shown, StageError> {
        let lower = open_source(layers, LOOK)?;
        // Without them the mount would succeed, and fail the build when it replaces a directory.
        let layered = match scratch.check_xattrs() {
            Ok(()) => {
                let upper = scratch.make("upper", 0o755)?;
                mount_overlay(&lower, &upper, &scratch.make_work()?, self.safe)
            }
            Err(errno) => Err(errno).about("user xattrs on the scratch space"),
        };
        match layered {
            Ok(overlay) => {
                attach(&overlay, &self.look("build/src")?)?;
                Ok(Shown::Layered)
            }
            Err(error) if matches!(error.errno, Errno::INVAL | Errno::OPNOTSUPP) => {
                self.copy_source(scratch, layers)?;
                Ok(Shown::Copied)
            }
            Err(error) => Err(error),
        }
    }

    /// Shows a copy of the source.
    pub(crate) fn copy_source(
        &self,
        scratch: &ScratchSpace,
        layers: &[PathBuf],
    ) -> Result<(), StageError> {
        let from = open_source(layers, OFlags::RDONLY)?;
        let to = scratch.make(Part::Src.name(), Part::Src.mode())?;
        if is_empty(&to, c".")? {
            // The first comes last: as in an overlay, it decides what a directory of several is.
            for layer in from.iter().rev() {
                copy_tree(layer, &to).about("copying the source")?;
            }
        }
        self.bind_part(scratch, Part::Src)
    }

    /// Shows a part of the scratch space.
    pub(crate) fn bind_part(&self, scratch: &ScratchSpace, part: Part) -> Result<(), StageError> {
        let dir = scratch.make(part.name(), part.mode())?;
        // Mounted by itself, one on disk would name a directory of the host in the table of mounts.
        let layered = if scratch.place == Place::Disk && scratch.check_xattrs().is_ok() {
            mount_overlay(&[self.empty()?], &dir, &scratch.make_work()?, self.safe).ok()
        } else {
            None
        };
        let tree = match layered {
            Some(tree) => tree,
            None => clone_tree(&scratch.dir, part.name(), self.safe, Reach::Mount)?,
        };
        attach(&tree, &self.look(part.inside())?)
    }

    /// Shows a device of the host. Read-only means its mode and times: who owns the device could
    /// change them, and that is the daemon's user. What is written to it goes to its driver.
    pub(crate) fn bind_device(&self, name: &str) -> Result<(), StageError> {
        let path = format!("dev/{name}");
        create_empty(&self.skeleton, path.as_str())?;
        let attributes = NO_SET_ID | NO_PROGRAMS | self.read_only;
        let tree = clone_tree(CWD, format!("/{path}"), attributes, Reach::Mount)?;
        attach(&tree, &self.look(&path)?)
    }

    /// Makes the usual names for a process's own descriptors.
    pub(crate) fn link_descriptors(&self) -> Result<(), Errno> {
        symlinkat("/proc/self/fd", &self.skeleton, "dev/fd")?;
        for (number, name) in ["dev/stdin", "dev/stdout", "dev/stderr"].into_iter().enumerate() {
            symlinkat(format!("/proc/self/fd/{number}"), &self.skeleton, name)?;
        }
        Ok(())
    }

    /// Mounts a `/proc` that has the jail's processes, and nothing of the host. Process 1, which
    /// nobody may trace, is hidden.
    pub(crate) fn mount_proc(&self) -> Result<(), StageError> {
        let attributes = READ_ONLY | NO_SET_ID | NO_DEVICES | NO_PROGRAMS;
        let hidden = if self.hides_first { "ptraceable" } else { "off" };
        let options = [("subset", "pid"), ("hidepid", hidden)];
        attach(&new_mount("proc", &options, attributes)?, &self.look("proc")?)
    }

    /// Shows an input, making the directories on the way.
    ///
    /// A directory is shown by an overlay, as the image is: a socket in it that somebody listens on
    /// is not the one that the jail sees.
    pub(crate) fn bind_input(&self, input: &Input) -> Result<(), StageError> {
        let Input { host, inside } = input;
        let attributes = self.read_only | self.safe;
        let found = open(host, LOOK, Mode::empty()).about("the input")?;
        let (parent, name) = self.make_parent(inside)?;
        let tree = match FileType::from_raw_mode(fstat(&found)?.st_mode) {
            FileType::Directory => {
                make_dir(&parent, name)?;
                match mount_image(&self.empty()?, &found, self.safe) {
                    Ok(tree) if self.read_only == READ_ONLY => tree,
                    _ => clone_tree(CWD, host, attributes, Reach::Tree).about("the input")?,
                }
            }
            FileType::RegularFile => {
                create_empty(&parent, name)?;
                clone_tree(CWD, host, attributes, Reach::Mount).about("the input")?
            }
            // Sockets, pipes and devices lead out of the jail.
            _ => return Err(Errno::INVAL).about("the input is no file or directory"),
        };
        attach(&tree, &openat(&parent, name, LOOK_HERE, Mode::empty())?)
    }

    /// Opens what the caller reads while the jail runs and when it is over: `/build/src`,
    /// `/build/out`, `/proc`.
    pub(crate) fn hand_out(&self) -> Result<[OwnedFd; 3], Errno> {
        let dir = |path| openat(&self.root, path, OFlags::RDONLY | DIRECTORY, Mode::empty());
        Ok([dir("build/src")?, dir("build/out")?, dir("proc")?])
    }

    /// Makes the new root the root, over the old one.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        fchdir(&self.root)?;
        // Puts the old root on top of the new one, from where it is taken away.
        pivot_root(".", ".")
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
        Ok(futimens(&file, &WRITTEN)?)
    }

    /// Makes our own directories, and what was written to them, read-only.
    pub(crate) fn freeze(&self) -> Result<(), Errno> {
        self.own.iter().try_for_each(|mount| restrict(mount, READ_ONLY, Reach::Mount))
    }

    /// A directory of ours that stays empty.
    fn empty(&self) -> Result<OwnedFd, Errno> {
        openat(&self.skeleton, "sys", LOOK_HERE | DIRECTORY, Mode::empty())
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

fn open_source(layers: &[PathBuf], flags: OFlags) -> Result<Vec<OwnedFd>, StageError> {
    let what = |host: &Path| match layers {
        [_] => "the source".to_owned(),
        _ => host.display().to_string(),
    };
    let open = |host| open(host, flags | DIRECTORY, Mode::empty()).about(what(host));
    layers.iter().map(PathBuf::as_path).map(open).collect()
}

/// Makes an overlay with a writable layer, which is not attached anywhere yet.
pub(crate) fn mount_overlay(
    lower: &[OwnedFd],
    upper: &OwnedFd,
    work: &OwnedFd,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, StageError> {
    let lower: Vec<_> = lower.iter().collect();
    let layers = [("lowerdir", &lower[..]), ("upperdir", &[upper]), ("workdir", &[work])];
    // Nobody mounts these layers again, so nothing needs to reach a disk when this one goes.
    overlay(&layers, &["userxattr", "volatile"], attributes)
}

/// Makes a read-only overlay of our own directories over an image's.
fn mount_image(
    skeleton: &OwnedFd,
    image: &OwnedFd,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, StageError> {
    overlay(&[("lowerdir", &[skeleton, image])], &["userxattr"], attributes)
}

fn overlay(
    layers: &[(&str, &[&OwnedFd])],
    flags: &[&str],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, StageError> {
    /// Above what the helper has open for other jails.
    const FIRST_LAYER: RawFd = 200;
    /// Where a process finds its descriptors, by their numbers.
    const DESCRIPTORS: &str = "/proc/self/fd";
    /// What the kernel takes for one option, with its end: bare numbers of three digits fit for
    /// every layer. Options for single layers are newer than what we need else.
    const OPTION_B: usize = 256;
    const { assert!(4 * SOURCE_LAYERS_MAX <= OPTION_B) };
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let mut open = Vec::new();
    for (key, dirs) in layers {
        // The jail's table of mounts shows these names: they tell nothing of the host, and are the
        // same in every jail. Nor do they hold what separates options.
        let mut numbers = Vec::new();
        for dir in *dirs {
            let layer = fcntl_dupfd_cloexec(dir, FIRST_LAYER).about(key)?;
            numbers.push(layer.as_raw_fd().to_string());
            open.push(layer);
        }
        let names: Vec<_> = numbers.iter().map(|n| format!("{DESCRIPTORS}/{n}")).collect();
        let mut names = names.join(":");
        if names.len() >= OPTION_B {
            // The kernel looks the names up now or in the end. All other paths of a stage are
            // absolute, until it enters the new root.
            chdir(DESCRIPTORS)?;
            names = numbers.join(":");
        }
        fsconfig_set_string(overlay.as_fd(), *key, names).about(key)?;
    }
    for flag in flags {
        fsconfig_set_flag(overlay.as_fd(), *flag).about(flag)?;
    }
    fsconfig_create(overlay.as_fd()).about("create")?;
    Ok(fsmount(overlay.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
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
pub(crate) fn is_empty(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
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
