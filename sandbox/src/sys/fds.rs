//! Closing what was inherited.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::checked;

/// Closes every descriptor from 3 up, except `keep`.
///
/// Only for a process that was just copied: values that own the closed descriptors must never be
/// used or dropped in it.
pub(crate) fn close_all_but(keep: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep {
        if first < kept {
            close_range(first, kept - 1, 0)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor from 3 up to be closed by the next program.
pub(crate) fn close_all_on_exec() -> Result<(), Errno> {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: touches the descriptor table only; the callers answer for who owns what is closed.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })?;
    Ok(())
}
