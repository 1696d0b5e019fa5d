//! Finding out what this kernel offers, and what to do about what it does not.

use std::{
    collections::BTreeSet,
    fs, io,
    io::{Write, stdout},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    io::Errno,
    mount::MountAttrFlags,
    process::{getegid, geteuid},
};

use crate::{
    Layer, Need, Op, Report, SandboxError, State, Wall,
    child::{Identity, map_user},
    seal::MIN_LANDLOCK,
    serve::PROBE_ARGUMENT,
    stage::{ScratchSpace, Stage, StageError, mount_overlay, stop_propagation},
    sys::{
        self,
        clone::{Cloned, Namespace, clone_into},
        process::exit_now,
    },
    wire,
};

/// What is known of a layer before it is tried.
#[derive(Clone, Copy)]
struct Known {
    need: Need,
    wall: Option<Wall>,
    /// Why it matters.
    matters: &'static str,
    /// What would provide it.
    fix: &'static str,
}

const NAMESPACES: Known = Known {
    need: Need::Always,
    wall: None,
    matters: "namespaces are what keeps a build from the host's files, processes and network",
    fix: "use a kernel with CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS, \
          CONFIG_UTS_NS and CONFIG_CGROUPS",
};
const MOUNTS: Known = Known {
    need: Need::Always,
    wall: None,
    matters: "what a build sees is put together from mounts",
    fix: "use a kernel 5.12 or newer",
};
const OVERLAY: Known = Known {
    need: Need::Always,
    wall: Some(Wall::Overlay),
    matters: "an overlay gives every build its own view of the source, where otherwise all of it \
              must be copied each time",
    fix: "use a kernel 5.11 or newer with CONFIG_OVERLAY_FS, or load its module `overlay`",
};
const XATTRS: Known = Known {
    need: Need::MemoryScratch,
    wall: None,
    matters: "an overlay keeps its marks in them; without them, builds write to disk instead of \
              memory",
    fix: "use a scratch directory on disk, or a kernel 6.6 or newer with CONFIG_TMPFS_XATTR",
};
const PROC: Known = Known {
    need: Need::Always,
    wall: Some(Wall::Proc),
    matters: "programs find their own files and descriptors through /proc, and the daemon what a \
              build uses",
    fix: "run outside a container, or let the container see all of /proc (docker: --security-opt \
          systempaths=unconfined)",
};
const LANDLOCK: Known = Known {
    need: Need::Always,
    wall: Some(Wall::Landlock),
    matters: "Landlock is the wall behind the mounts and the empty network: with it, one mistake in \
              those is no escape",
    fix: "use a kernel 5.19 or newer with CONFIG_SECURITY_LANDLOCK, and have `landlock` in the boot \
          parameter `lsm=`",
};
const FILTER: Known = Known {
    need: Need::Always,
    wall: Some(Wall::Filter),
    matters: "the filter keeps builds from most of the kernel's attack surface, and from set-id \
              files and devices in their outputs",
    fix: "use a kernel with CONFIG_SECCOMP_FILTER",
};
const DEPTH: &str = "it is a second wall; the first one stands without it";

/// What newer versions of Landlock can take away besides writing, and since which.
const LANDLOCK_LADDER: [(u32, &str, &str); 4] = [
    (3, "landlock: truncating", "use a kernel 6.2 or newer"),
    (4, "landlock: tcp", "use a kernel 6.7 or newer"),
    (5, "landlock: device control", "use a kernel 6.10 or newer"),
    (6, "landlock: signals and abstract sockets", "use a kernel 6.12 or newer"),
];

/// Finds out what this kernel offers, by trying every layer of a jail in `program` (usually the
/// running one), whose `main` begins with [`helper_main_if_asked`](crate::helper_main_if_asked).
///
/// # Errors
/// [`SandboxError::Probe`]: there was no answer, which says nothing about the kernel.
pub fn probe(program: &Path) -> Result<Report, SandboxError> {
    let output = Command::new(program)
        .arg(PROBE_ARGUMENT)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(SandboxError::Probe)?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| SandboxError::Probe(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Answers [`probe`] on standard output, in the process it started; the exit status.
pub(crate) fn answer() -> i32 {
    let mut layers: Vec<Layer> = Namespace::ALL.into_iter().map(try_namespace).collect();
    if layers.iter().all(|layer| layer.state == State::Ok) {
        layers.extend(
            try_inside().unwrap_or_else(|errno| vec![layer("jail", NAMESPACES, Err(errno.into()))]),
        );
    }
    layers.extend(try_landlock());
    layers.push(layer("system call filter", FILTER, filter_state()));
    let answered = serde_json::to_vec(&Report { layers })
        .map_err(io::Error::from)
        .and_then(|answer| stdout().write_all(&answer));
    i32::from(answered.is_err())
}

/// Says what to do about an operation that was refused, and why it was needed.
pub(crate) fn help_for(op: &Op<'_>, error: &StageError) -> Option<String> {
    let known = match op {
        // The map is refused, or what it should permit, where user namespaces are restricted.
        Op::MapUser | Op::HideCgroups | Op::NameHost | Op::StopPropagation | Op::MountRoot => {
            return Some(namespace_fix(error.errno));
        }
        Op::OpenScratch { .. } if error.errno == Errno::NOTEMPTY => {
            return Some("give it an empty directory".to_owned());
        }
        Op::MountSource { .. } if error.errno == Errno::NODEV => OVERLAY,
        Op::MountProc => PROC,
        Op::Landlock => LANDLOCK,
        Op::FilterSyscalls => FILTER,
        _ => return None,
    };
    Some(known.help(known.fix))
}

impl Known {
    /// Why it matters, what would provide it, and how to do without.
    fn help(&self, fix: &str) -> String {
        let Self { need: _, wall, matters, fix: _ } = self;
        let without = wall.map(|wall| {
            format!(
                "; or leave `{wall}` out of sandbox.require in the daemon's configuration, which \
                 marks every output made so and keeps it from being shared"
            )
        });
        format!("{matters}: {fix}{}", without.unwrap_or_default())
    }
}

/// Says what to do when new namespaces were refused, and why they are needed.
pub(crate) fn namespace_fix(errno: Errno) -> String {
    NAMESPACES.help(&namespace_sysctl(errno))
}

fn namespace_sysctl(errno: Errno) -> String {
    let is = |path: &str, value: &str| {
        fs::read_to_string(path).is_ok_and(|content| content.trim() == value)
    };
    let fix = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "set sysctl kernel.unprivileged_userns_clone to 1"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "set sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or give the program an \
         AppArmor profile with `userns`"
    } else {
        match errno {
            Errno::NOSPC => "raise the sysctls user.max_user_namespaces and user.max_*_namespaces",
            Errno::INVAL | Errno::NOSYS => NAMESPACES.fix,
            _ => "allow user namespaces: the seccomp or LSM profile of a container may deny them",
        }
    };
    fix.to_owned()
}

fn layer(name: &str, known: Known, found: Result<String, StageError>) -> Layer {
    let Known { need, wall, matters, fix } = known;
    let (state, why, fix) = match found {
        Ok(why) => (State::Ok, why, None),
        Err(StageError { errno, detail: Some(detail) }) => {
            (State::Missing, format!("{detail}: {errno}"), Some(fix.to_owned()))
        }
        Err(StageError { errno, detail: None }) => {
            (State::Missing, errno.to_string(), Some(fix.to_owned()))
        }
    };
    Layer { name: name.to_owned(), need, state, why, matters: matters.to_owned(), fix, wall }
}

fn works(_done: ()) -> String {
    "works".to_owned()
}

fn try_namespace(namespace: Namespace) -> Layer {
    // All others need a user namespace that permits them.
    let made = clone_into(&[Namespace::User, namespace], None).and_then(|cloned| match cloned {
        Cloned::Child => exit_now(0),
        Cloned::Parent { pid, pidfd: _ } => sys::process::reap(pid),
    });
    let errno = made.err();
    let name = format!("{namespace:?} namespace").to_lowercase();
    let mut layer = layer(&name, NAMESPACES, made.map(|_usage| works(())).map_err(Into::into));
    layer.fix = errno.map(namespace_sysctl);
    layer
}

/// Tries in a process with all new namespaces what only works there.
fn try_inside() -> Result<Vec<Layer>, Errno> {
    let outside = Identity { uid: geteuid(), gid: getegid() };
    let (ours, theirs) = wire::connection()?;
    match clone_into(&Namespace::ALL, None)? {
        Cloned::Child => {
            let layers = inside(outside);
            let sent = wire::send(&theirs, &layers, &[]);
            exit_now(i32::from(sent.is_err()))
        }
        Cloned::Parent { pid, pidfd: _ } => {
            drop(theirs);
            let answer = wire::receive(&ours, wire::MAX_MESSAGE_B)?;
            sys::process::reap(pid)?;
            answer.map(|(layers, _fds)| layers).ok_or(Errno::PIPE)
        }
    }
}

fn inside(outside: Identity) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut add = |name: &str, known, found: Result<(), StageError>| {
        layers.push(layer(name, known, found.map(works)));
    };
    add("user map", NAMESPACES, map_user(outside));
    add("loopback", NAMESPACES, sys::loopback::raise().map_err(Into::into));
    let stage = stop_propagation().map_err(Into::into);
    let stage = stage.and_then(|()| Stage::new(&BTreeSet::new()));
    let scratch = stage.and_then(|stage| Ok((stage.scratch_in_memory(1 << 20, 1 << 10)?, stage)));
    let (scratch, stage) = match scratch {
        Ok(made) => made,
        Err(error) => {
            add("mounts", MOUNTS, Err(error));
            return layers;
        }
    };
    add("mounts", MOUNTS, Ok(()));
    add("overlay", OVERLAY, try_overlay(&scratch));
    add("user xattrs in memory", XATTRS, scratch.check_xattrs().map_err(Into::into));
    add("proc", PROC, stage.mount_proc());
    layers
}

fn try_overlay(scratch: &ScratchSpace) -> Result<(), StageError> {
    let dir = |name| -> Result<OwnedFd, StageError> { scratch.make(name, 0o755) };
    let (lower, upper, work) = (dir("lower")?, dir("upper")?, dir("work")?);
    mount_overlay(&lower, &upper, &work, MountAttrFlags::empty()).map(drop)
}

fn try_landlock() -> Vec<Layer> {
    let found = sys::landlock::abi();
    let abi = found.unwrap_or(0);
    let usable =
        found.and_then(|abi| if abi < MIN_LANDLOCK { Err(Errno::OPNOTSUPP) } else { Ok(abi) });
    let found = usable.map(|abi| format!("interface version {abi}")).map_err(Into::into);
    let mut layers = vec![layer("landlock", LANDLOCK, found)];
    for (since, name, kernel) in LANDLOCK_LADDER {
        let found = if abi >= since { Ok(works(())) } else { Err(Errno::OPNOTSUPP.into()) };
        let known = Known { need: Need::Depth, wall: None, matters: DEPTH, fix: kernel };
        layers.push(layer(name, known, found));
    }
    layers
}

fn filter_state() -> Result<String, StageError> {
    Ok(works(sys::seccomp::available()?))
}
