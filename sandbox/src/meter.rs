//! Measuring a running jail and finding the limit it has passed.

use std::{
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Dir, Mode, OFlags, fstatvfs, openat},
    io::Errno,
    param::clock_ticks_per_second,
};

use crate::{
    Accounting, Limit, Limits, Sample, Usage,
    cgroup::{JailGroup, Level},
    walk::Measured,
};

/// How often a jail is looked at that is far from every limit.
const CALM: Duration = Duration::from_millis(250);
/// How often one is looked at that holds more than half of what it may.
const ALERT: Duration = Duration::from_millis(20);
/// The part of a file system that stays free, and the most that does.
const DISK_SHARE: u64 = 50;
const DISK_MOST_B: u64 = 1 << 30;
/// Looking takes at most this part of the time.
const SHARE: u32 = 50;

/// Measures one jail.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The jail's `/proc`.
    proc: OwnedFd,
    /// A directory of the jail's scratch, and where that is.
    scratch: (OwnedFd, Place),
    limits: Limits,
    started: Instant,
    /// What the scratch held before the first step.
    base: Measured,
    /// What it held when it was last measured, if it is on disk.
    walked: Measured,
    peak: Sample,
    next: Instant,
    /// `None`: never.
    next_report: Option<Instant>,
    report_every: Duration,
}

/// Where a jail's scratch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file system of its own, which counts.
    Memory,
    /// In a directory that must be walked.
    Disk,
}

/// What a look at a jail found.
pub(crate) struct Look {
    /// The limit that is passed.
    pub(crate) passed: Option<Limit>,
    /// What it holds, when it is time to tell that.
    pub(crate) report: Option<Sample>,
}

impl Meter {
    pub(crate) fn new(
        proc: OwnedFd,
        (scratch, base): ((OwnedFd, Place), Measured),
        limits: Limits,
        report_every: Duration,
        started: Instant,
    ) -> Self {
        Self {
            proc,
            scratch,
            limits,
            started,
            base,
            walked: base,
            peak: Sample::default(),
            next: started + ALERT,
            next_report: started.checked_add(report_every),
            report_every,
        }
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Instant {
        self.next_report.map_or(self.next, |report| report.min(self.next))
    }

    /// What it held of the machine's memory when it was last looked at, or before.
    pub(crate) fn holds_b(&self) -> u64 {
        self.peak.memory_b.saturating_add(self.peak.scratch_b)
    }

    /// Takes what a walk through the scratch found.
    pub(crate) fn walked(&mut self, measured: Measured) {
        self.walked = measured;
    }

    /// Looks at the jail, by its control group if it has one.
    pub(crate) fn look(&mut self, group: Option<&JailGroup>) -> Look {
        let now = Instant::now();
        let sample = self.sample(now, group);
        let took = now.elapsed();
        let half = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit / 2);
        let alert = half(sample.memory_b, self.limits.memory_b)
            || half(sample.pids, self.limits.pids)
            || half(sample.scratch_b, Some(self.limits.scratch_b))
            || half(sample.scratch_files, Some(self.limits.scratch_files));
        self.next = Instant::now() + if alert { ALERT } else { CALM }.max(took * SHARE);
        let report = self.next_report.is_some_and(|next| next <= now).then_some(sample);
        if report.is_some() {
            self.next_report = now.checked_add(self.report_every);
        }
        let told = group.and_then(JailGroup::passed);
        let full = || self.disk_is_full().then_some(Limit::HostDisk);
        Look { passed: told.or_else(|| passed(&sample, &self.limits)).or_else(full), report }
    }

    /// Ends the measuring when every process is dead: what was used, and the limit that was passed.
    /// `of_all` is what the kernel says of all processes together.
    pub(crate) fn end(
        mut self,
        of_all: Usage,
        group: Option<&JailGroup>,
    ) -> (Usage, Option<Limit>) {
        let last = self.sample(Instant::now(), group);
        let told = group.and_then(JailGroup::passed);
        let accounting = if group.is_some() { Accounting::Cgroup } else { Accounting::Sampled };
        let Sample { at: _, user, system, memory_b, pids, scratch_b, scratch_files } = self.peak;
        let usage = Usage {
            user: of_all.user.max(user),
            system: of_all.system.max(system),
            memory_peak_b: of_all.memory_peak_b.max(memory_b),
            pids_peak: of_all.pids_peak.max(pids),
            scratch_peak_b: scratch_b,
            scratch_files_peak: scratch_files,
            accounting,
        };
        (usage, told.or_else(|| passed(&last, &self.limits)))
    }

    fn sample(&mut self, now: Instant, group: Option<&JailGroup>) -> Sample {
        let scratch = match self.scratch.1 {
            Place::Memory => Measured::of_file_system(&self.scratch.0).unwrap_or_default(),
            Place::Disk => self.walked,
        };
        let level = match group {
            Some(group) => group.level(match self.scratch.1 {
                Place::Memory => scratch.bytes,
                Place::Disk => 0,
            }),
            // A process that ends while it is looked at is no error.
            None => self.processes(scratch).unwrap_or_default(),
        };
        let Level { user, system, memory_b, pids } = level;
        let sample = Sample {
            at: now - self.started,
            user,
            system,
            memory_b,
            pids,
            scratch_b: scratch.bytes.saturating_sub(self.base.bytes),
            scratch_files: scratch.files.saturating_sub(self.base.files),
        };
        let peak = &mut self.peak;
        peak.user = peak.user.max(sample.user);
        peak.system = peak.system.max(sample.system);
        peak.memory_b = peak.memory_b.max(sample.memory_b);
        peak.pids = peak.pids.max(sample.pids);
        peak.scratch_b = peak.scratch_b.max(sample.scratch_b);
        peak.scratch_files = peak.scratch_files.max(sample.scratch_files);
        sample
    }

    /// Adds up all processes of the jail. Pages that several share count for each of them, so a sum that
    /// passes the limit is made again, exactly and slowly.
    fn processes(&self, scratch: Measured) -> Result<Level, Errno> {
        let mut all = Level::default();
        self.each_process(|file| {
            let Some((user, system)) = file("stat").as_deref().and_then(cpu_times) else { return };
            all.user = all.user.saturating_add(user);
            all.system = all.system.saturating_add(system);
            let held = file("status").as_deref().map(held).unwrap_or_default();
            all.memory_b = all.memory_b.saturating_add(held.memory_b());
            all.pids += held.threads;
        })?;
        if self.limits.memory_b.is_some_and(|limit| all.memory_b > limit) {
            all.memory_b = self.exact_memory_b(scratch)?;
        }
        Ok(all)
    }

    /// Memory of all processes of the jail, every page counted once. One whose shares may not be
    /// asked counts as if it shared nothing: too much, never too little.
    fn exact_memory_b(&self, scratch: Measured) -> Result<u64, Errno> {
        let (mut own_b, mut shared_b) = (0_u64, 0_u64);
        self.each_process(|file| {
            let held = file("status").as_deref().map(held).unwrap_or_default();
            let shares = file("smaps_rollup").as_deref().and_then(shares);
            let (anon_b, shmem_b) = shares.unwrap_or((held.anon_b, held.shmem_b));
            own_b = own_b.saturating_add(anon_b).saturating_add(held.tables_b);
            shared_b = shared_b.saturating_add(shmem_b);
        })?;
        // Files of the scratch that are mapped are no memory of the processes.
        let scratch_b = match self.scratch.1 {
            Place::Memory => scratch.bytes,
            Place::Disk => 0,
        };
        Ok(own_b.saturating_add(shared_b.saturating_sub(scratch_b)))
    }

    /// Shows each process of the jail, as what reads a file of its directory in `/proc`.
    fn each_process(
        &self,
        mut look: impl FnMut(&dyn Fn(&str) -> Option<String>),
    ) -> Result<(), Errno> {
        for entry in Dir::read_from(&self.proc)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            // The first process is ours; a helper of root's sees it.
            if name == b"1" || !name.iter().all(u8::is_ascii_digit) {
                continue;
            }
            look(&|file| {
                let path = [name, b"/", file.as_bytes()].concat();
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let mut text = Vec::new();
                let opened = openat(&self.proc, path.as_slice(), flags, Mode::empty()).ok()?;
                File::from(opened).read_to_end(&mut text).ok()?;
                Some(String::from_utf8_lossy(&text).into_owned())
            });
        }
        Ok(())
    }

    /// Whether the file system of a scratch on disk is almost full.
    fn disk_is_full(&self) -> bool {
        let (dir, Place::Disk) = &self.scratch else { return false };
        fstatvfs(dir).is_ok_and(|stat| {
            let all_b = stat.f_blocks.saturating_mul(stat.f_frsize);
            let free_b = stat.f_bavail.saturating_mul(stat.f_frsize);
            free_b < (all_b / DISK_SHARE).min(DISK_MOST_B)
        })
    }
}

/// The first limit that is passed.
fn passed(sample: &Sample, limits: &Limits) -> Option<Limit> {
    let Limits { wall, scratch_b, scratch_files, open_files: _, pids, memory_b } = limits;
    let passed = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit);
    [
        (wall.is_some_and(|wall| sample.at >= wall), Limit::Wall),
        (passed(sample.memory_b, *memory_b), Limit::Memory),
        (passed(sample.pids, *pids), Limit::Pids),
        (sample.scratch_b > *scratch_b, Limit::Scratch),
        (sample.scratch_files > *scratch_files, Limit::ScratchFiles),
    ]
    .into_iter()
    .find_map(|(passed, limit)| passed.then_some(limit))
}

/// CPU times of a process and the children it has waited for, user and system, from
/// `/proc/PID/stat` (`proc_pid_stat(5)`: fields 14 to 17, in clock ticks).
pub(crate) fn cpu_times(stat: &str) -> Option<(Duration, Duration)> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_ascii_whitespace().skip(11).map_while(|field| field.parse().ok());
    let mut next = || -> Option<u64> { ticks.next() };
    let (user, system, children_user, children_system) = (next()?, next()?, next()?, next()?);
    let span = |ticks: u64| {
        let per_second = clock_ticks_per_second().max(1);
        Duration::from_millis(ticks.saturating_mul(1000) / per_second)
    };
    let both = |own: u64, children: u64| span(own.saturating_add(children));
    Some((both(user, children_user), both(system, children_system)))
}

/// A process's share of private and of shared memory in bytes, from `/proc/PID/smaps_rollup`
/// (`proc_pid_smaps(5)`); `None` where it has none or may not be asked.
fn shares(rollup: &str) -> Option<(u64, u64)> {
    Some((size_b(rollup, "Pss_Anon")?, size_b(rollup, "Pss_Shmem")?))
}

/// What one process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    anon_b: u64,
    shmem_b: u64,
    /// Its page tables.
    tables_b: u64,
    pub(crate) threads: u64,
}

impl Held {
    /// Bytes of memory that only its end gives back.
    fn memory_b(&self) -> u64 {
        self.anon_b.saturating_add(self.shmem_b).saturating_add(self.tables_b)
    }
}

/// Reads `/proc/PID/status` (`proc_pid_status(5)`). A zombie has no memory and one thread.
pub(crate) fn held(status: &str) -> Held {
    let size_b = |name| size_b(status, name).unwrap_or(0);
    Held {
        anon_b: size_b("RssAnon"),
        shmem_b: size_b("RssShmem"),
        tables_b: size_b("VmPTE"),
        threads: number(status, "Threads").unwrap_or(0).max(1),
    }
}

/// A size in KiB, as bytes.
fn size_b(text: &str, name: &str) -> Option<u64> {
    number(text, name).map(|kib| kib.saturating_mul(1024))
}

/// The number after `name` and a colon on a line of its own.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_a_hostile_name() {
        let stat = "7 (a) R 1 (b)) S 1 7 7 0 -1 4194304 100 200 0 0 150 25 50 75 20 0 3 0 1 2 3";
        let tick = Duration::from_millis(1000 / clock_ticks_per_second());
        assert_eq!(cpu_times(stat), Some((tick * 200, tick * 100)));
        for damaged in ["", "7 (a", "7 (a) S 1 2 3", "7 (a) S x x x x x x x x x x x x x x x"] {
            assert_eq!(cpu_times(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn memory_counts_what_cannot_be_taken_back() {
        let status = "Name:\tx\nVmRSS:\t9999 kB\nRssAnon:\t    100 kB\nRssFile:\t  5000 kB\n\
                      RssShmem:\t      20 kB\nVmPTE:\t 4 kB\nThreads:\t7\n";
        let read = |status| (held(status).memory_b(), held(status).threads);
        assert_eq!(read(status), (124 * 1024, 7));
        assert_eq!(read("Name:\tgone\nState:\tZ (zombie)\nThreads:\t1\n"), (0, 1));
        assert_eq!(read("RssAnon:\nThreads:\tmany"), (0, 1));
    }

    #[test]
    fn a_share_is_private_or_shared() {
        let rollup = "5555-7fff ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 300 kB\n\
                      Pss_Dirty: 1 kB\nPss_Anon: 100 kB\nPss_File: 150 kB\nPss_Shmem: 50 kB\n";
        assert_eq!(shares(rollup), Some((100 * 1024, 50 * 1024)));
        assert_eq!(shares(""), None);
    }

    #[test]
    fn a_process_whose_shares_may_not_be_asked_counts_whole() {
        let proc = tempfile::tempdir().unwrap();
        let open = || rustix::fs::open(proc.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let write = |file: &str, text: &str| std::fs::write(proc.path().join(file), text).unwrap();
        std::fs::create_dir(proc.path().join("42")).unwrap();
        write("42/stat", "42 (a) S 1 7 7 0 -1 4194304 100 200 0 0 1 1 1 1 20 0 3 0 1 2 3");
        write("42/status", "RssAnon: 100 kB\nRssShmem: 20 kB\nVmPTE: 4 kB\nThreads: 2\n");
        let limits = Limits { memory_b: Some(50 << 10), ..Limits::default() };
        let scratch = ((open(), Place::Disk), Measured::default());
        let meter = Meter::new(open(), scratch, limits, Duration::from_secs(1), Instant::now());
        let held_kib = || meter.processes(Measured::default()).unwrap().memory_b >> 10;
        assert_eq!(held_kib(), 124);
        write("42/smaps_rollup", "Pss_Anon: 30 kB\nPss_Shmem: 10 kB\n");
        assert_eq!(held_kib(), 44);
    }

    #[test]
    fn what_is_at_its_limit_has_not_passed_it() {
        let limits = Limits {
            wall: Some(Duration::from_secs(10)),
            scratch_b: 100,
            scratch_files: 10,
            open_files: 1,
            pids: Some(5),
            memory_b: Some(1000),
        };
        let at = Sample {
            memory_b: 1000,
            pids: 5,
            scratch_b: 100,
            scratch_files: 10,
            ..Sample::default()
        };
        assert_eq!(passed(&at, &limits), None);
        let all = [
            (Sample { at: Duration::from_secs(10), ..at }, Limit::Wall),
            (Sample { memory_b: 1001, ..at }, Limit::Memory),
            (Sample { pids: 6, ..at }, Limit::Pids),
            (Sample { scratch_b: 101, ..at }, Limit::Scratch),
            (Sample { scratch_files: 11, ..at }, Limit::ScratchFiles),
        ];
        for (sample, limit) in all {
            assert_eq!(passed(&sample, &limits), Some(limit));
        }
    }
}
