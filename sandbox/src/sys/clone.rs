//! Making the first process of a jail.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::{io::Errno, process::Pid};

use super::checked;

/// `CLONE_INTO_CGROUP`, which does not fit the type of the others.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// A namespace that a new process gets for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    User,
    Mount,
    Pid,
    Net,
    Ipc,
    Uts,
    Cgroup,
}

impl Namespace {
    pub(crate) const ALL: [Self; 7] =
        [Self::User, Self::Mount, Self::Pid, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup];

    pub(crate) fn flag(self) -> u64 {
        let flag = match self {
            Self::User => libc::CLONE_NEWUSER,
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::Net => libc::CLONE_NEWNET,
            Self::Ipc => libc::CLONE_NEWIPC,
            Self::Uts => libc::CLONE_NEWUTS,
            Self::Cgroup => libc::CLONE_NEWCGROUP,
        };
        u64::from(flag.cast_unsigned())
    }
}

/// Which of the two processes this is.
pub(crate) enum Cloned {
    Parent { pid: Pid, pidfd: OwnedFd },
    Child,
}

/// Copies this process, which must be single-threaded, into new namespaces.
///
/// The child is a copy of everything, so it must neither return to the caller's work nor drop what
/// the caller owns: it ends in [`super::process::exit_now`].
pub(crate) fn clone_into(
    namespaces: &[Namespace],
    group: Option<&OwnedFd>,
) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let flags = namespaces.iter().fold(0, |flags, namespace| flags | namespace.flag());
    // SAFETY: `clone_args` is integers only, for which all-zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    if let Some(group) = group {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    args.pidfd = (&raw mut pidfd).expose_provenance() as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: without CLONE_VM the child has its own copy of memory and stack, as after fork; the
    // process is single-threaded, so no lock is left held; `args` and `pidfd` outlive the call.
    let pid = checked(unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>())
    })?;
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Cloned::Child);
    };
    // SAFETY: the kernel stored a new descriptor there, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid, pidfd })
}

/// Gives this process a view of control groups in which its own is the root.
pub(crate) fn hide_cgroups() -> Result<(), Errno> {
    // SAFETY: changes what this process sees of groups; nothing in it depends on that.
    checked(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })?;
    Ok(())
}
