//! System calls that rustix does not have. The only `unsafe` of the workspace.
#![expect(unsafe_code, reason = "raw system calls; one operation per block, each explained")]

pub(crate) mod clone;
pub(crate) mod fds;
pub(crate) mod landlock;
pub(crate) mod loopback;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod seccomp;

use std::io;

use rustix::io::Errno;

/// The error of the last system call of this thread.
fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// What a system call that returns `-1` on failure returned.
fn checked<T: PartialOrd + Default>(returned: T) -> Result<T, Errno> {
    if returned < T::default() { Err(last_errno()) } else { Ok(returned) }
}
