//! Installing a system call filter.

use rustix::io::Errno;

use super::checked;

/// One instruction of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) operand: u32,
}

/// Installs a filter for this process and all it will start. Needs `no_new_privs`.
pub(crate) fn install(program: &[Instruction]) -> Result<(), Errno> {
    let mut program: Vec<libc::sock_filter> = program
        .iter()
        .map(|&Instruction { code, if_true, if_false, operand }| libc::sock_filter {
            code,
            jt: if_true,
            jf: if_false,
            k: operand,
        })
        .collect();
    let len = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel checks them.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })?;
    Ok(())
}

/// Says whether this kernel has system call filters that can return an error.
pub(crate) fn available() -> Result<(), Errno> {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one `u32`, which outlives the call.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    })?;
    Ok(())
}
