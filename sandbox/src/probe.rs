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
    process::{getegid, geteuid, getrlimit},
};

use crate::{
    Layer, Need, Op, Report, SandboxError, State, Wall,
    child::{CONTRACT, Identity, map_user},
    seal::MIN_LANDLOCK,
    serve::{PROBE_ARGUMENT, lift_limits},
    space::ScratchSpace,
    stage::{Stage, StageError, mount_overlay, stop_propagation},
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
    fix: "use a kernel 5.12 or newer, and let no seccomp or LSM profile of a container deny mounts",
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
const LIMITS: Known = Known {
    need: Need::Depth,
    wall: None,
    matters: "a build that runs into a lower limit than elsewhere fails or does something else",
    fix: "start the daemon with higher hard limits (`ulimit -H`, LimitSTACK= and the like)",
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
    layers.push(resource_limits());
    let answered = serde_json::to_vec(&Report { layers })
        .map_err(io::Error::from)
        .and_then(|answer| stdout().write_all(&answer));
    i32::from(answered.is_err())
}

/// Says what to do about an operation that was refused, and why it was needed.
pub(crate) fn help_for(op: &Op<'_>, error: &StageError) -> Option<String> {
    let known = match op {
        Op::HideCgroups => {
            return Some(NAMESPACES.help(&namespace_fix(&[Namespace::Cgroup], error.errno)));
        }
        // The map is refused, or what it should permit, where user namespaces are restricted.
        Op::MapUser | Op::NameHost | Op::StopPropagation | Op::MountRoot => {
            return Some(help_for_namespaces(error.errno));
        }
        Op::OpenScratch { .. } if error.errno == Errno::NOTEMPTY => {
            return Some("give it an empty directory".to_owned());
        }
        Op::ShowImage { .. } if error.errno == Errno::NOSYS => MOUNTS,
        Op::MountSource { .. } if error.errno == Errno::NODEV => OVERLAY,
        Op::MountProc => PROC,
        Op::Landlock => LANDLOCK,
        Op::FilterSyscalls => FILTER,
        _ => return None,
    };
    Some(known.help(&known.ways_out()))
}

impl Known {
    /// What would provide it, or how to do without.
    fn ways_out(&self) -> String {
        let Self { need: _, wall, matters: _, fix } = self;
        let without = wall.map(|wall| {
            format!(
                "; or leave `{wall}` out of sandbox.require in the daemon's configuration, which \
                 marks every output made so and keeps it from being shared"
            )
        });
        format!("{fix}{}", without.unwrap_or_default())
    }

    /// Why it matters and what to do.
    fn help(&self, fix: &str) -> String {
        format!("{}: {fix}", self.matters)
    }
}

/// Says what to do when the namespaces of a jail were refused, and why they are needed.
pub(crate) fn help_for_namespaces(errno: Errno) -> String {
    NAMESPACES.help(&namespace_fix(&Namespace::ALL, errno))
}

/// The limit on namespaces of a kind.
fn limit_on(namespace: Namespace) -> String {
    let kind = match namespace {
        Namespace::User => "user",
        Namespace::Mount => "mnt",
        Namespace::Pid => "pid",
        Namespace::Net => "net",
        Namespace::Ipc => "ipc",
        Namespace::Uts => "uts",
        Namespace::Cgroup => "cgroup",
    };
    format!("user.max_{kind}_namespaces")
}

/// The limits that allow none of these namespaces, as far as the kernel tells.
fn reached_limits(namespaces: &[Namespace]) -> Vec<String> {
    let limits = namespaces.iter().map(|namespace| limit_on(*namespace));
    limits.filter(|limit| sysctl_is(limit, "0")).collect()
}

fn sysctl_is(name: &str, value: &str) -> bool {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).is_ok_and(|content| content.trim() == value)
}

fn namespace_fix(namespaces: &[Namespace], errno: Errno) -> String {
    if errno == Errno::NOSPC {
        let reached = reached_limits(namespaces);
        return match (&reached[..], namespaces) {
            // Inside a new user namespace its own limits are read, which are others.
            ([], [one]) => format!("raise the sysctl {}", limit_on(*one)),
            ([], _) => "raise the sysctls user.max_*_namespaces, or nest containers less".into(),
            (reached, _) => format!("raise the sysctl {}", reached.join(" and ")),
        };
    }
    let fix = if sysctl_is("kernel.unprivileged_userns_clone", "0") {
        "set sysctl kernel.unprivileged_userns_clone to 1"
    } else if sysctl_is("kernel.apparmor_restrict_unprivileged_userns", "1") {
        "set sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or give the program an \
         AppArmor profile with `userns`"
    } else {
        match errno {
            Errno::INVAL | Errno::NOSYS => NAMESPACES.fix,
            _ => "allow user namespaces: the seccomp or LSM profile of a container may deny them",
        }
    };
    fix.to_owned()
}

fn layer(name: &str, known: Known, found: Result<String, StageError>) -> Layer {
    let fix = found.is_err().then(|| known.ways_out());
    let (state, why) = match found {
        Ok(why) => (State::Ok, why),
        Err(StageError { errno, detail: Some(detail) }) => {
            (State::Missing, format!("{detail}: {errno}"))
        }
        Err(StageError { errno, detail: None }) => (State::Missing, errno.to_string()),
    };
    let Known { need, wall, matters, fix: _ } = known;
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
    let name = format!("{namespace:?} namespace").to_lowercase();
    let tried = [Namespace::User, namespace];
    let found = made.map(|_usage| works(()));
    let found = found.map_err(|errno| refused_namespaces(&tried, errno));
    let fix = found.as_ref().err().map(|error| namespace_fix(&tried, error.errno));
    Layer { fix, ..layer(&name, NAMESPACES, found) }
}

/// The limit in place of an errno that speaks of disks.
pub(crate) fn refused_namespaces(namespaces: &[Namespace], errno: Errno) -> StageError {
    let reached = reached_limits(namespaces);
    let is_limit = errno == Errno::NOSPC && !reached.is_empty();
    let detail = is_limit.then(|| format!("the limit {} is 0", reached.join(", ")));
    StageError { errno, detail }
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
    // The file systems of a jail, in its order.
    let made = stage.and_then(|stage| {
        stage.try_attributes()?;
        let image = stage.try_image();
        Ok((stage.scratch_in_memory(1 << 20, 1 << 10)?, image, stage))
    });
    let (scratch, image, stage) = match made {
        Ok(made) => made,
        Err(error) => {
            add("mounts", MOUNTS, Err(error));
            return layers;
        }
    };
    add("mounts", MOUNTS, Ok(()));
    let writable = try_overlay(&scratch);
    add("overlay", OVERLAY, image.and(writable));
    add("user xattrs in memory", XATTRS, scratch.check_xattrs().map_err(Into::into));
    add("proc", PROC, stage.mount_proc());
    layers
}

fn try_overlay(scratch: &ScratchSpace) -> Result<(), StageError> {
    let dir = |name| -> Result<OwnedFd, StageError> { scratch.make(name, 0o755) };
    let (lower, upper, work) = (dir("lower")?, dir("upper")?, dir("work")?);
    mount_overlay(&[lower], &upper, &work, MountAttrFlags::empty()).map(drop)
}

fn try_landlock() -> Vec<Layer> {
    let needs = |least: u32| StageError {
        errno: Errno::OPNOTSUPP,
        detail: Some(format!("it needs interface version {least}")),
    };
    let found = sys::landlock::abi();
    let abi = found.unwrap_or(0);
    let found = match found {
        Ok(abi) if abi >= MIN_LANDLOCK => Ok(format!("interface version {abi}")),
        Ok(_) => Err(needs(MIN_LANDLOCK)),
        Err(errno) => Err(refused_landlock(errno)),
    };
    let mut layers = vec![layer("landlock", LANDLOCK, found)];
    for (since, name, kernel) in LANDLOCK_LADDER {
        let found = if abi >= since { Ok(works(())) } else { Err(needs(since)) };
        let known = Known { need: Need::Depth, wall: None, matters: DEPTH, fix: kernel };
        layers.push(layer(name, known, found));
    }
    layers
}

/// Whether builds can have the resource limits that they have everywhere.
fn resource_limits() -> Layer {
    // As the helper does; this process asks nothing after it.
    let lifted = lift_limits().map_err(Into::into);
    let low: Vec<String> = CONTRACT
        .into_iter()
        .filter_map(|(resource, wanted)| {
            let hard = getrlimit(resource).maximum?;
            let is_low = wanted.is_none_or(|wanted| hard < wanted);
            is_low.then(|| format!("{resource:?} {hard}").to_lowercase())
        })
        .collect();
    let mut layer = layer("resource limits", LIMITS, lifted.map(works));
    if !low.is_empty() {
        layer.state = State::Missing;
        layer.why =
            format!("the hard limits are lower than builds have elsewhere: {}", low.join(", "));
        layer.fix = Some(LIMITS.fix.to_owned());
    }
    layer
}

/// Tells what the kernel means by refusing Landlock.
fn refused_landlock(errno: Errno) -> StageError {
    let detail = match errno {
        Errno::OPNOTSUPP => Some("it is not switched on"),
        Errno::NOSYS => Some("this kernel was built without it"),
        _ => None,
    };
    StageError { errno, detail: detail.map(str::to_owned) }
}

fn filter_state() -> Result<String, StageError> {
    Ok(works(sys::seccomp::available()?))
}
