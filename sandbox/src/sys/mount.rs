//! `mount_setattr`.

use std::os::fd::{AsFd, AsRawFd};

use rustix::{io::Errno, mount::MountAttrFlags};

use super::checked;

/// How far a change of attributes reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The mount itself.
    Mount,
    /// The mount and all mounts below it.
    Tree,
}

/// Adds attributes to a mount.
pub(crate) fn restrict(
    mount: impl AsFd,
    attributes: MountAttrFlags,
    reach: Reach,
) -> Result<(), Errno> {
    let flags = match reach {
        Reach::Mount => libc::AT_EMPTY_PATH,
        Reach::Tree => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    let attr = libc::mount_attr {
        attr_set: u64::from(attributes.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string; `attr` outlives the call and has the size given.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}
