//! Attributes, usage and end of processes.

use std::time::Duration;

use rustix::{io::Errno, process::Pid};

use super::checked;
use crate::Usage;

/// Ends this process at once: no destructors, no exit handlers, which belong to the parent.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: always sound; it does not return.
    unsafe { libc::_exit(status) }
}

/// Gives every signal its default action, except `SIGPIPE`, which Rust's runtime ignores and
/// restores in the programs it starts.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        if ![libc::SIGPIPE, libc::SIGKILL, libc::SIGSTOP].contains(&signal) {
            // SAFETY: the default action runs no code of this process. Numbers that the C library
            // keeps for itself are refused, which is fine.
            let _previous = unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// Makes this process, and the programs it starts, have the same address space layout every time.
pub(crate) fn fix_addresses() -> Result<(), Errno> {
    let personality = libc::c_ulong::from(libc::ADDR_NO_RANDOMIZE.cast_unsigned());
    // SAFETY: changes a flag of this process.
    checked(unsafe { libc::personality(personality) })?;
    Ok(())
}

/// Gives the signal of a child's end its default action: ignored, it would take the end itself.
pub(crate) fn hear_of_children() {
    // SAFETY: the default action runs no code of this process.
    let _previous = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Gives this process what every process has that nobody did anything to: scheduling class, class of
/// input and output, slack of timers, huge pages, what a core holds and how bad memory is told.
///
/// Niceness stays: only root could take it back.
pub(crate) fn reset_scheduling() -> Result<(), Errno> {
    /// Nanoseconds, the kernel's own.
    const TIMER_SLACK: libc::c_ulong = 50_000;
    /// `IOPRIO_WHO_PROCESS` and no class.
    const IO: (libc::c_long, libc::c_long) = (1, 0);
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` outlives the call.
    checked(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) })?;
    // SAFETY: changes an attribute of this process.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, IO.0, 0_i64, IO.1) })?;
    let reset = |option: libc::c_int, value: libc::c_ulong| -> Result<(), Errno> {
        let zero: libc::c_ulong = 0;
        // SAFETY: these options take numbers only, and change attributes of this process.
        checked(unsafe { libc::prctl(option, value, zero, zero, zero) })?;
        Ok(())
    };
    reset(libc::PR_SET_TIMERSLACK, TIMER_SLACK)?;
    match reset(libc::PR_MCE_KILL, 0) {
        // Not in every kernel, and then nothing to reset.
        Err(Errno::INVAL) | Ok(()) => {}
        other => return other,
    }
    match reset(libc::PR_SET_THP_DISABLE, 0) {
        Err(Errno::INVAL) | Ok(()) => Ok(()),
        other => other,
    }
}

/// Returns what the children that this process has waited for used.
pub(crate) fn children_usage() -> Usage {
    let mut usage = no_usage();
    // SAFETY: `usage` is valid for writes for the length of the call.
    let _cannot_fail = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    to_usage(&usage)
}

/// Waits for a child that has ended: the signal that ended it, 0 if none, and what it and its
/// children used.
pub(crate) fn reap(pid: Pid) -> Result<(i32, Usage), Errno> {
    let mut status = 0;
    let mut usage = no_usage();
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: `status` and `usage` are valid for writes for the length of the call.
    checked(unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) })?;
    let signal = if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 };
    Ok((signal, to_usage(&usage)))
}

fn no_usage() -> libc::rusage {
    // SAFETY: `rusage` is integers only, for which all-zero is a value.
    unsafe { std::mem::zeroed() }
}

fn to_usage(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        let micros = u64::try_from(time.tv_usec).unwrap_or(0);
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
    };
    Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        memory_peak_b: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        ..Usage::default()
    }
}
