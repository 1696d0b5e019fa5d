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
    Layer, Need, Op, Report, SandboxError, State,
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

const PROC_FIX: &str = "run outside a container, or let the container see all of /proc (docker: \
                        --security-opt systempaths=unconfined)";
const OVERLAY_FIX: &str = "use a kernel 5.11 or newer with CONFIG_OVERLAY_FS";
const XATTR_FIX: &str =
    "use a scratch directory on disk, or a kernel 6.6 or newer with CONFIG_TMPFS_XATTR";
const LANDLOCK_FIX: &str = "use a kernel 5.19 or newer with CONFIG_SECURITY_LANDLOCK, and have \
                            `landlock` in the boot parameter `lsm=`";
const SECCOMP_FIX: &str = "use a kernel with CONFIG_SECCOMP_FILTER";
const NAMESPACE_FIX: &str = "use a kernel with CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, \
                             CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_CGROUPS";

/// What newer versions of Landlock can take away besides writing, and since which.
const LANDLOCK_LADDER: [(u32, &str, &str); 4] = [
    (3, "landlock: truncating", "6.2"),
    (4, "landlock: tcp", "6.7"),
    (5, "landlock: device control", "6.10"),
    (6, "landlock: signals and abstract sockets", "6.12"),
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
            try_inside().unwrap_or_else(|errno| {
                vec![layer("jail", Need::Always, Err(errno.into()), || None)]
            }),
        );
    }
    layers.extend(try_landlock());
    layers.push(layer("system call filter", Need::Always, filter_state(), || {
        Some(SECCOMP_FIX.to_owned())
    }));
    let answered = serde_json::to_vec(&Report { layers })
        .map_err(io::Error::from)
        .and_then(|answer| stdout().write_all(&answer));
    i32::from(answered.is_err())
}

/// Says what to do about an operation that was refused.
pub(crate) fn help_for(op: &Op<'_>, error: &StageError) -> Option<String> {
    let help = match op {
        // The map is refused, or what it should permit, where user namespaces are restricted.
        Op::MapUser | Op::NameHost | Op::StopPropagation | Op::MountRoot => {
            return Some(namespace_fix(error.errno));
        }
        Op::OpenScratch { .. } if error.errno == Errno::NOTEMPTY => "give it an empty directory",
        Op::MountSource { .. } if error.errno == Errno::OPNOTSUPP => XATTR_FIX,
        Op::MountSource { .. } if error.errno == Errno::NODEV => OVERLAY_FIX,
        Op::MountProc => PROC_FIX,
        Op::Landlock => LANDLOCK_FIX,
        Op::FilterSyscalls => SECCOMP_FIX,
        _ => return None,
    };
    Some(help.to_owned())
}

/// Says what to do when new namespaces were refused.
pub(crate) fn namespace_fix(errno: Errno) -> String {
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
            Errno::INVAL | Errno::NOSYS => NAMESPACE_FIX,
            _ => "allow user namespaces: the seccomp or LSM profile of a container may deny them",
        }
    };
    fix.to_owned()
}

fn layer(
    name: &str,
    need: Need,
    found: Result<String, StageError>,
    fix: impl FnOnce() -> Option<String>,
) -> Layer {
    let name = name.to_owned();
    match found {
        Ok(why) => Layer { name, need, state: State::Ok, why, fix: None },
        Err(StageError { errno, detail }) => {
            let why = match detail {
                Some(detail) => format!("{detail}: {errno}"),
                None => errno.to_string(),
            };
            Layer { name, need, state: State::Missing, why, fix: fix() }
        }
    }
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
    let found = made.map(|_usage| works(())).map_err(StageError::from);
    layer(&name, Need::Always, found, || errno.map(namespace_fix))
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
            let answer = wire::receive(&ours)?;
            sys::process::reap(pid)?;
            answer.map(|(layers, _fds)| layers).ok_or(Errno::PIPE)
        }
    }
}

fn inside(outside: Identity) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut add = |name: &str, need, found: Result<(), StageError>, fix: &str| {
        layers.push(layer(name, need, found.map(works), || Some(fix.to_owned())));
    };
    add("user map", Need::Always, map_user(outside), &namespace_fix(Errno::PERM));
    add("loopback", Need::Always, sys::loopback::raise().map_err(Into::into), NAMESPACE_FIX);
    let stage = stop_propagation().map_err(Into::into);
    let stage = stage.and_then(|()| Stage::new(&BTreeSet::new()));
    let scratch = stage.and_then(|stage| Ok((stage.scratch_in_memory(1 << 20, 1 << 10)?, stage)));
    let (scratch, stage) = match scratch {
        Ok(made) => made,
        Err(error) => {
            add("mounts", Need::Always, Err(error), "use a kernel 5.12 or newer");
            return layers;
        }
    };
    add("mounts", Need::Always, Ok(()), "");
    add("overlay", Need::Always, try_overlay(&scratch), OVERLAY_FIX);
    let xattrs = scratch.check_xattrs().map_err(Into::into);
    add("user xattrs in memory", Need::MemoryScratch, xattrs, XATTR_FIX);
    add("proc", Need::Always, stage.mount_proc(), PROC_FIX);
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
    let mut layers = vec![layer("landlock", Need::Always, found, || Some(LANDLOCK_FIX.to_owned()))];
    for (since, name, kernel) in LANDLOCK_LADDER {
        let found = if abi >= since { Ok(works(())) } else { Err(Errno::OPNOTSUPP.into()) };
        let fix = || Some(format!("use a kernel {kernel} or newer"));
        layers.push(layer(name, Need::Depth, found, fix));
    }
    layers
}

fn filter_state() -> Result<String, StageError> {
    Ok(works(sys::seccomp::available()?))
}
