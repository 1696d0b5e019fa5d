//! What will be done to build a jail and run its steps, as data.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{Input, JailFile, JailSpec, Limits, Scratch, Step, Wall};

/// The user and group id of every process in a jail.
pub(crate) const INSIDE_ID: u32 = 1000;
/// The host name in a jail.
pub(crate) const HOST_NAME: &str = "kbs";
/// The NIS domain name in a jail: what a kernel has that was never told one.
pub(crate) const DOMAIN_NAME: &str = "(none)";
/// Devices in a jail, by their name in `/dev`.
pub(crate) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Directories in which a jail may write.
pub(crate) const WRITABLE: [&str; 5] =
    ["/build/src", "/build/out", "/build/home", "/tmp", "/dev/shm"];

/// A writable directory of the jail that is a plain directory of the scratch space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An empty `/build/src`.
    Src,
    /// `/build/out`.
    Out,
    /// `/build/home`.
    Home,
    /// `/tmp`.
    Tmp,
    /// `/dev/shm`.
    Shm,
}

impl Part {
    /// Its name in the scratch space.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Src => "src",
            Self::Out => "out",
            Self::Home => "home",
            Self::Tmp => "tmp",
            Self::Shm => "shm",
        }
    }

    /// Where the jail sees it, without the leading slash.
    pub(crate) fn inside(self) -> &'static str {
        match self {
            Self::Src => "build/src",
            Self::Out => "build/out",
            Self::Home => "build/home",
            Self::Tmp => "tmp",
            Self::Shm => "dev/shm",
        }
    }

    /// Its permission bits.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::Src | Self::Out | Self::Home => 0o755,
            Self::Tmp | Self::Shm => 0o1777,
        }
    }
}

/// One thing done by the first process of a jail. Shown, it reads as what is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<'a> {
    /// Leaves the caller's session and asks to be killed when the helper dies.
    DieWithHelper,
    /// Becomes uid and gid 1000.
    MapUser,
    /// Makes its own control group the only one it can name.
    HideCgroups,
    /// Limits what is counted for the user on the whole host.
    LimitUser,
    /// Allows no namespaces below its own.
    NoNamespaces,
    /// Sets the host and domain name.
    NameHost,
    /// Brings the loopback interface up.
    RaiseLoopback,
    /// Cuts mounts off from the host's.
    StopPropagation,
    /// Makes what the jail has of its own, aside: the old root stays reachable for now.
    MountRoot,
    /// Lays the image over the new root: as an overlay, or entry by entry where that cannot be.
    ShowImage {
        /// The image's directory on the host.
        host: &'a Path,
    },
    /// Makes scratch space in memory.
    MountScratch {
        /// Its size in bytes.
        size_b: u64,
        /// Files and directories it may hold.
        files: u64,
    },
    /// Takes an empty host directory as scratch space.
    OpenScratch {
        /// The directory.
        dir: &'a Path,
    },
    /// Takes what an earlier jail left as scratch space.
    ReopenScratch {
        /// The directory.
        dir: &'a Path,
    },
    /// Shows the source below a writable layer; copies it where the file systems cannot be layers.
    MountSource {
        /// The source's directories on the host.
        layers: &'a [PathBuf],
    },
    /// Copies the source.
    CopySource {
        /// The source's directories on the host.
        layers: &'a [PathBuf],
    },
    /// Shows a part of the scratch space.
    BindPart(Part),
    /// Shows a device of the host.
    BindDevice {
        /// Its name in `/dev`.
        name: &'static str,
    },
    /// Makes `/dev/fd`, `/dev/stdin`, `/dev/stdout` and `/dev/stderr`.
    LinkDescriptors,
    /// Mounts `/proc`, with processes and nothing else.
    MountProc,
    /// Shows an input.
    BindInput(&'a Input),
    /// Opens `/build/src` and `/build/out` for the caller, `/proc` for its accounts.
    HandOutDirs,
    /// Makes the new root the only one.
    EnterRoot,
    /// Writes a file.
    WriteFile(&'a JailFile),
    /// Makes the root read-only.
    FreezeRoot,
    /// Sets resource limits, umask and address space layout.
    Limit {
        /// What the jail may use.
        limits: &'a Limits,
        /// The most that one file may hold, where the scratch space itself has no limit.
        file_b: Option<u64>,
    },
    /// Connects the standard streams of the steps.
    ConnectStreams,
    /// Gives up all capabilities, for good.
    DropCapabilities,
    /// Denies by Landlock writing outside the writable directories, TCP, and signals to outside.
    Landlock,
    /// Denies system calls that no build needs.
    FilterSyscalls,
    /// Runs a step.
    Run {
        /// Its index.
        index: usize,
        /// The step.
        step: &'a Step,
    },
}

/// Lists what will be done for `spec`, in order. Nothing else is done.
pub fn ops(spec: &JailSpec) -> Vec<Op<'_>> {
    let JailSpec {
        root,
        source,
        inputs,
        files,
        steps,
        env: _,
        limits,
        scratch,
        sample_every: _,
        without,
    } = spec;
    let has = |wall| !without.contains(&wall);
    let mut list = vec![Op::DieWithHelper, Op::MapUser, Op::HideCgroups];
    list.extend(has(Wall::ResourceLimits).then_some(Op::LimitUser));
    list.extend(has(Wall::NestedNamespaces).then_some(Op::NoNamespaces));
    list.extend(has(Wall::UtsNamespace).then_some(Op::NameHost));
    list.extend(has(Wall::NetNamespace).then_some(Op::RaiseLoopback));
    list.extend([Op::StopPropagation, Op::MountRoot, Op::ShowImage { host: root }]);
    let file_b = match scratch {
        Scratch::Memory => {
            list.push(Op::MountScratch { size_b: limits.scratch_b, files: limits.scratch_files });
            None
        }
        Scratch::Directory(dir) => {
            list.push(Op::OpenScratch { dir });
            Some(limits.scratch_b)
        }
        Scratch::Kept(dir) => {
            list.push(Op::ReopenScratch { dir });
            Some(limits.scratch_b)
        }
    };
    list.push(match source.as_slice() {
        [] => Op::BindPart(Part::Src),
        layers if has(Wall::Overlay) => Op::MountSource { layers },
        layers => Op::CopySource { layers },
    });
    list.extend([Part::Out, Part::Home, Part::Tmp, Part::Shm].map(Op::BindPart));
    list.extend(DEVICES.map(|name| Op::BindDevice { name }));
    list.push(Op::LinkDescriptors);
    list.extend(has(Wall::Proc).then_some(Op::MountProc));
    list.extend(inputs.iter().map(Op::BindInput));
    list.extend([Op::HandOutDirs, Op::EnterRoot]);
    // Only now: a symbolic link in the source leads nowhere but into the jail.
    list.extend(files.iter().map(Op::WriteFile));
    // Landlock forbids mounting and the filter most of the rest, so they come last.
    list.extend(has(Wall::ReadOnly).then_some(Op::FreezeRoot));
    list.extend([Op::Limit { limits, file_b }, Op::ConnectStreams]);
    let seals = [
        (Wall::Capabilities, Op::DropCapabilities),
        (Wall::Landlock, Op::Landlock),
        (Wall::Filter, Op::FilterSyscalls),
    ];
    list.extend(seals.into_iter().filter(|(wall, _)| has(*wall)).map(|(_, op)| op));
    list.extend(steps.iter().enumerate().map(|(index, step)| Op::Run { index, step }));
    list
}

impl fmt::Display for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithHelper => f.write_str("leave the session and die with the helper"),
            Self::MapUser => write!(f, "map uid and gid {INSIDE_ID} to the caller's"),
            Self::HideCgroups => f.write_str("hide the control groups of the host"),
            Self::LimitUser => f.write_str("limit what is counted for the user on the whole host"),
            Self::NoNamespaces => f.write_str("allow no further namespaces"),
            Self::NameHost => write!(f, "name the host {HOST_NAME}, the domain {DOMAIN_NAME}"),
            Self::RaiseLoopback => f.write_str("bring up the loopback interface"),
            Self::StopPropagation => f.write_str("make all mounts private"),
            Self::MountRoot => f.write_str("mount tmpfs for our own directories"),
            Self::ShowImage { host } => {
                write!(f, "lay {} over the root, read-only", host.display())
            }
            Self::MountScratch { size_b, files } => {
                write!(f, "mount tmpfs of {size_b} bytes and {files} files as scratch")
            }
            Self::OpenScratch { dir } => write!(f, "take {} as scratch", dir.display()),
            Self::ReopenScratch { dir } => write!(f, "go on in the scratch {}", dir.display()),
            Self::MountSource { layers } => {
                write!(f, "mount overlay on /build/src, over {}", listed(layers))
            }
            Self::CopySource { layers } => write!(f, "copy {} to /build/src", listed(layers)),
            Self::BindPart(part) => write!(f, "bind scratch/{} on /{}", part.name(), part.inside()),
            Self::BindDevice { name } => write!(f, "bind /dev/{name}"),
            Self::LinkDescriptors => f.write_str("link /dev/fd, stdin, stdout and stderr"),
            Self::MountProc => f.write_str("mount proc on /proc, read-only, processes only"),
            Self::BindInput(Input { host, inside }) => {
                write!(f, "bind {} read-only on {inside}", host.display())
            }
            Self::HandOutDirs => f.write_str("hand out /build/src, /build/out and /proc"),
            Self::EnterRoot => f.write_str("pivot into the new root"),
            Self::WriteFile(JailFile { path, bytes, mode }) => {
                write!(f, "write {} bytes to {path}, mode {mode:o}", bytes.len())
            }
            Self::FreezeRoot => f.write_str("make the root read-only"),
            Self::Limit { limits, file_b } => {
                write!(f, "limit open files to {}", limits.open_files)?;
                for (what, limit) in [("processes", &limits.pids), ("a file", file_b)] {
                    if let Some(limit) = limit {
                        write!(f, ", {what} to {limit}")?;
                    }
                }
                f.write_str("; umask 022, no address randomisation")
            }
            Self::ConnectStreams => f.write_str("connect the standard streams"),
            Self::DropCapabilities => f.write_str("drop all capabilities"),
            Self::Landlock => write!(f, "restrict by landlock: write only in {WRITABLE:?}"),
            Self::FilterSyscalls => f.write_str("filter system calls"),
            Self::Run { index, step: Step { argv, cwd } } => {
                write!(f, "run command {index} in {cwd}: {argv:?}")
            }
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::JailPath;

    fn spec() -> JailSpec {
        let path = |text| JailPath::new(text).unwrap();
        JailSpec {
            root: "/images/a".into(),
            source: vec!["/trees/b".into()],
            inputs: vec![Input { host: "/outputs/c".into(), inside: path("/build/inputs/c") }],
            files: vec![JailFile {
                path: path("/build/src/.config"),
                bytes: b"CONFIG_A=y\n".to_vec(),
                mode: 0o644,
            }],
            steps: vec![
                Step { argv: vec!["make".into(), "-j2".into()], cwd: path("/build/src") },
                Step { argv: vec!["true".into()], cwd: path("/") },
            ],
            env: BTreeMap::new(),
            limits: Limits { pids: Some(512), ..Limits::default() },
            scratch: Scratch::Memory,
            sample_every: std::time::Duration::from_secs(3),
            without: BTreeSet::new(),
        }
    }

    fn listing(spec: &JailSpec) -> String {
        let lines: Vec<String> =
            ops(spec).iter().enumerate().map(|(index, op)| format!("{index} {op}")).collect();
        lines.join("\n")
    }

    // What a jail is made of, in order: a change here changes what builds see or what they can do.
    #[test]
    fn a_jail_is_built_in_this_order() {
        insta::assert_snapshot!(listing(&spec()), @r#"
        0 leave the session and die with the helper
        1 map uid and gid 1000 to the caller's
        2 hide the control groups of the host
        3 limit what is counted for the user on the whole host
        4 allow no further namespaces
        5 name the host kbs, the domain (none)
        6 bring up the loopback interface
        7 make all mounts private
        8 mount tmpfs for our own directories
        9 lay /images/a over the root, read-only
        10 mount tmpfs of 4294967296 bytes and 500000 files as scratch
        11 mount overlay on /build/src, over /trees/b
        12 bind scratch/out on /build/out
        13 bind scratch/home on /build/home
        14 bind scratch/tmp on /tmp
        15 bind scratch/shm on /dev/shm
        16 bind /dev/null
        17 bind /dev/zero
        18 bind /dev/full
        19 bind /dev/random
        20 bind /dev/urandom
        21 link /dev/fd, stdin, stdout and stderr
        22 mount proc on /proc, read-only, processes only
        23 bind /outputs/c read-only on /build/inputs/c
        24 hand out /build/src, /build/out and /proc
        25 pivot into the new root
        26 write 11 bytes to /build/src/.config, mode 644
        27 make the root read-only
        28 limit open files to 1024, processes to 512; umask 022, no address randomisation
        29 connect the standard streams
        30 drop all capabilities
        31 restrict by landlock: write only in ["/build/src", "/build/out", "/build/home", "/tmp", "/dev/shm"]
        32 filter system calls
        33 run command 0 in /build/src: ["make", "-j2"]
        34 run command 1 in /: ["true"]
        "#);
    }

    #[test]
    fn scratch_on_disk_and_no_source_change_only_where_bytes_go() {
        let mut spec = spec();
        let before = listing(&spec);
        spec.scratch = Scratch::Directory("/scratch/d".into());
        spec.source.clear();
        let after = listing(&spec);
        let differing: Vec<String> = before
            .lines()
            .zip(after.lines())
            .filter(|(a, b)| a != b)
            .map(|(_, b)| b.to_owned())
            .collect();
        assert_eq!(before.lines().count(), after.lines().count());
        insta::assert_snapshot!(differing.join("\n"), @r#"
        10 take /scratch/d as scratch
        11 bind scratch/src on /build/src
        28 limit open files to 1024, processes to 512, a file to 4294967296; umask 022, no address randomisation
        "#);
    }

    #[test]
    fn a_source_of_several_directories_changes_only_what_is_laid_on_each_other() {
        let mut spec = spec();
        let before = listing(&spec);
        spec.source.push("/trees/c".into());
        let differing = |after: &str| -> Vec<String> {
            let lines = before.lines().zip(after.lines());
            lines.filter(|(a, b)| a != b).map(|(_, b)| b.to_owned()).collect()
        };
        let overlay = differing(&listing(&spec));
        spec.without.insert(Wall::Overlay);
        let copy = differing(&listing(&spec));
        insta::assert_snapshot!([overlay, copy].concat().join("\n"), @r"
        11 mount overlay on /build/src, over /trees/b, /trees/c
        11 copy /trees/b, /trees/c to /build/src
        ");
    }

    #[test]
    fn everything_is_restricted_before_the_first_step() {
        let spec = spec();
        let list = ops(&spec);
        let first = |want: fn(&Op<'_>) -> bool| list.iter().position(want).unwrap();
        let run = first(|op| matches!(op, Op::Run { .. }));
        for seal in [Op::DropCapabilities, Op::Landlock, Op::FilterSyscalls, Op::FreezeRoot] {
            assert!(list.iter().position(|op| *op == seal).unwrap() < run);
        }
        assert!(
            first(|op| matches!(op, Op::WriteFile(_))) > first(|op| matches!(op, Op::EnterRoot))
        );
    }
}
