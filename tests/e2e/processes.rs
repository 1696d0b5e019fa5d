//! Processes and mounts of the machine, as a build must not leave them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Polls until `is_so`.
#[track_caller]
pub(crate) fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Seconds for `CONFIG_SLEEP` that no other test uses at this time: its `sleep` is recognised by it.
pub(crate) fn long_sleep() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    1000 + (std::process::id() * 7 + NEXT.fetch_add(1, Ordering::Relaxed)) % 2600
}

/// Pids of every process whose whole command line is this.
pub(crate) fn with_command_line(line: &str) -> Vec<Pid> {
    let wanted: Vec<u8> = line.bytes().map(|b| if b == b' ' { 0 } else { b }).chain([0]).collect();
    all().into_iter().filter(|pid| read(*pid, "cmdline") == wanted).collect()
}

/// Direct children of a process.
pub(crate) fn children(of: Pid) -> Vec<Pid> {
    let parent = |pid: &Pid| {
        let stat = String::from_utf8_lossy(&read(*pid, "stat")).into_owned();
        // The name, in parentheses, may hold anything.
        let after = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        after.split(' ').nth(1).and_then(|ppid| ppid.parse::<i32>().ok())
    };
    all().into_iter().filter(|pid| parent(pid) == Some(of.as_raw_nonzero().get())).collect()
}

/// The command line of a process, its words joined; empty once it has ended.
pub(crate) fn command_line(pid: Pid) -> String {
    String::from_utf8_lossy(&read(pid, "cmdline")).replace('\0', " ")
}

/// Ends a process the hard way.
#[track_caller]
pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("the process is there and ours");
}

/// Whether a process is there; one that only waits to be reaped is not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Time that a process has computed, its children not counted.
pub(crate) fn cpu_time(pid: Pid) -> Duration {
    let stat = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
    let after = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let ticks = after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
}

/// What is mounted where, as this process sees it; without the disks in files that other tests make at
/// the same time.
pub(crate) fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
    text.lines().filter(|line| !line.starts_with("/dev/loop")).map(str::to_owned).collect()
}

fn all() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").expect("proc is mounted");
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok().and_then(Pid::from_raw)).collect()
}

/// A file of a process; empty when it is gone.
fn read(pid: Pid, file: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default()
}
