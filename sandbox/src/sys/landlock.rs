//! Which Landlock this kernel has.

use rustix::io::Errno;

use super::checked;

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: u32 = 1;

/// Returns the version of the Landlock interface, 1 or more.
///
/// `ENOSYS`: not in this kernel. `EOPNOTSUPP`: not switched on at boot.
pub(crate) fn abi() -> Result<u32, Errno> {
    // SAFETY: with this flag the kernel reads no memory; the attribute must be null.
    let abi = checked(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    })?;
    u32::try_from(abi).map_err(|_| Errno::RANGE)
}
