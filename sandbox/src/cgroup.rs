//! Control groups (cgroup v2), where an operator has delegated a subtree to the daemon.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use crate::{Limit, Limits, Scratch};

/// The group of the daemon itself, below the delegated one: a group that has groups with
/// controllers below it may hold no process.
const OWN: &str = "kbsd";
/// Beginning of the names of the groups of jails.
const JAIL: &str = "jail-";
/// What a jail's group must be able to count.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// A delegated subtree, ready for jails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    dir: PathBuf,
}

/// Why there is no subtree for jails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoCgroup {
    /// This process is in no group of a version 2 hierarchy.
    #[error("no cgroup v2 hierarchy is mounted")]
    NotMounted,
    /// The controllers are in a version 1 hierarchy, or not handed down.
    #[error("the controller {controller} is not available in {}", dir.display())]
    Controller {
        /// Its name.
        controller: &'static str,
        /// The group.
        dir: PathBuf,
    },
    /// The group holds processes that are not ours to move.
    #[error("{} holds other processes than the daemon's", dir.display())]
    Shared {
        /// The group.
        dir: PathBuf,
    },
    /// The subtree is not ours to change.
    #[error("cannot change {}", path.display())]
    NotDelegated {
        /// What could not be changed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl NoCgroup {
    /// One imperative sentence: what would provide it.
    pub fn help(&self) -> String {
        match self {
            Self::NotMounted | Self::Controller { .. } => {
                "boot with systemd.unified_cgroup_hierarchy=1 (the default of systemd 247 and later)"
            }
            Self::Shared { .. } | Self::NotDelegated { .. } => {
                "run the daemon as a service with Delegate=yes, or under \
                 `systemd-run --user --scope -p Delegate=yes`"
            }
        }
        .to_owned()
    }
}

impl Cgroup {
    /// Finds this process's group and makes it ready for jails: the process moves into a group
    /// below, and the controllers are handed down. Groups that jails of an earlier daemon left are
    /// removed.
    ///
    /// # Errors
    /// [`NoCgroup`]; then nothing was changed but that this process may have moved.
    pub fn prepare() -> Result<Self, NoCgroup> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let dir = own_dir(&mounts, &groups).ok_or(NoCgroup::NotMounted)?;
        Self::prepare_in(&dir, std::process::id())
    }

    fn prepare_in(dir: &Path, us: u32) -> Result<Self, NoCgroup> {
        // Started again below what an earlier process of ours prepared, or by a service manager that
        // makes a group for the daemon itself.
        let dir = if dir.ends_with(OWN) { dir.parent().unwrap_or(dir) } else { dir };
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let offered = read("cgroup.controllers");
        for controller in CONTROLLERS {
            if !offered.split_ascii_whitespace().any(|word| word == controller) {
                return Err(NoCgroup::Controller { controller, dir: dir.to_owned() });
            }
        }
        let us = us.to_string();
        if read("cgroup.procs").lines().any(|pid| pid != us) {
            return Err(NoCgroup::Shared { dir: dir.to_owned() });
        }
        let change = |path: PathBuf, text: &str| {
            fs::write(&path, text).map_err(|source| NoCgroup::NotDelegated { path, source })
        };
        let own = dir.join(OWN);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(NoCgroup::NotDelegated { path: own, source: error });
            }
            _ => {}
        }
        change(own.join("cgroup.procs"), &us)?;
        let wanted = CONTROLLERS.map(|controller| format!("+{controller}")).join(" ");
        change(dir.join("cgroup.subtree_control"), &wanted)?;
        let cgroup = Self { dir: dir.to_owned() };
        cgroup.sweep();
        Ok(cgroup)
    }

    /// The delegated group.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Removes what jails of an earlier daemon left. What does not go in time stays, in nobody's way.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(JAIL) {
                JailGroup { dir: entry.path(), pids: None }.remove();
            }
        }
    }

    /// Makes the group of a jail.
    pub(crate) fn make(
        &self,
        id: u64,
        limits: &Limits,
        scratch: &Scratch,
    ) -> Result<JailGroup, Errno> {
        // A name that no earlier helper used: a group keeps its counts as long as it exists.
        let name = format!("{JAIL}{}-{id}", std::process::id());
        let pids = limits.pids.map(|pids| pids.saturating_add(OUR_OWN));
        let group = JailGroup { dir: self.dir.join(name), pids };
        fs::create_dir(&group.dir).map_err(|error| errno(&error))?;
        match group.limit(limits, scratch) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(errno(&error))
            }
        }
    }
}

/// The directory of this process's group in the version 2 hierarchy, from `/proc/self/mountinfo` and
/// `/proc/self/cgroup`.
fn own_dir(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        // "36 35 98:0 /root /mount/point options optional... - type source super-options"
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (after.split(' ').next()? == "cgroup2" && root == "/").then_some(point)
    })?;
    Some(Path::new(mount).join(path))
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The group of one jail.
#[derive(Debug)]
pub(crate) struct JailGroup {
    dir: PathBuf,
    /// The most processes it may have, our own first one included.
    pids: Option<u64>,
}

/// Processes of a jail that are ours.
const OUR_OWN: u64 = 1;
/// How long the processes of a group that was killed may take to be gone.
const GONE: Duration = Duration::from_millis(200);

/// What all processes of a jail hold, and the CPU time they have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) memory_b: u64,
    pub(crate) pids: u64,
}

impl JailGroup {
    /// Opens it, for a process to be made in.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        open(&self.dir, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    fn limit(&self, limits: &Limits, scratch: &Scratch) -> io::Result<()> {
        let most = |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |b| b.to_string());
        // What is written to a scratch in memory counts as memory of the group.
        let scratch_b = match scratch {
            Scratch::Memory => limits.scratch_b,
            Scratch::Directory(_) | Scratch::Kept(_) => 0,
        };
        let memory_b = limits.memory_b.map(|memory_b| memory_b.saturating_add(scratch_b));
        fs::write(self.dir.join("memory.max"), most(memory_b))?;
        fs::write(self.dir.join("memory.oom.group"), "1")?;
        // Where there is no swap there is no such file.
        let _no_swap = fs::write(self.dir.join("memory.swap.max"), "0");
        fs::write(self.dir.join("pids.max"), most(self.pids))
    }

    /// What it holds now, `scratch_b` bytes of which are scratch in memory.
    pub(crate) fn level(&self, scratch_b: u64) -> Level {
        let cpu = self.read("cpu.stat");
        let memory = self.read("memory.stat");
        let memory_b = field(&memory, "anon")
            + field(&memory, "shmem").saturating_sub(scratch_b)
            + field(&memory, "pagetables");
        Level {
            user: Duration::from_micros(field(&cpu, "user_usec")),
            system: Duration::from_micros(field(&cpu, "system_usec")),
            memory_b,
            pids: self
                .read("pids.current")
                .trim()
                .parse::<u64>()
                .unwrap_or(0)
                .saturating_sub(OUR_OWN),
        }
    }

    /// The limit of this group at which the kernel stopped something. Groups above may have limits,
    /// too: those of the service, which are not the build's.
    pub(crate) fn passed(&self) -> Option<Limit> {
        let oom = |events: &str| field(&self.read(events), "oom") > 0;
        let refused = |events: &str| field(&self.read(events), "max") > 0;
        // Before Linux 6.11 the count is that of the process that forked, whoever refused it.
        let peak = || self.read("pids.peak").trim().parse::<u64>().ok();
        let all_taken = || peak().zip(self.pids).is_none_or(|(peak, most)| peak >= most);
        if oom("memory.events.local") {
            Some(Limit::Memory)
        } else if refused("pids.events.local") || (refused("pids.events") && all_taken()) {
            Some(Limit::Pids)
        } else {
            None
        }
    }

    /// Kills what is in it and removes it, as soon as that is gone. What cannot be removed now is the
    /// next daemon's to sweep.
    pub(crate) fn remove(self) {
        let _killed = fs::write(self.dir.join("cgroup.kill"), "1");
        let start = Instant::now();
        while let Err(error) = fs::remove_dir(&self.dir) {
            if error.kind() != io::ErrorKind::ResourceBusy || start.elapsed() > GONE {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_default()
    }
}

/// The number after `name` on a line of its own, 0 where there is none.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a group; the kernel's part is played by nobody.
    fn group(controllers: &str, procs: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), controllers).unwrap();
        fs::write(dir.path().join("cgroup.procs"), procs).unwrap();
        dir
    }

    #[test]
    fn the_own_group_is_found_wherever_the_hierarchy_is_mounted() {
        let v2 = "24 30 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let hybrid = "35 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      42 25 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = |mounts, groups| own_dir(mounts, groups).map(|dir| dir.display().to_string());
        assert_eq!(
            found(v2, "0::/system.slice/kbsd.service\n").as_deref(),
            Some("/sys/fs/cgroup/system.slice/kbsd.service")
        );
        assert_eq!(
            found(hybrid, "4:memory:/x\n0::/\n").as_deref(),
            Some("/sys/fs/cgroup/unified/")
        );
        assert_eq!(found(hybrid, "4:memory:/x\n"), None);
        assert_eq!(found("", "0::/\n"), None);
        // Only a part of the hierarchy: our path would lead elsewhere.
        let part = "24 30 0:22 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(found(part, "0::/\n"), None);
    }

    #[test]
    fn a_group_is_prepared_only_where_nobody_else_is() {
        let ready = group("cpu memory pids\n", "42\n");
        let cgroup = Cgroup::prepare_in(ready.path(), 42).unwrap();
        let read = |name: &str| fs::read_to_string(ready.path().join(name)).unwrap();
        assert_eq!(cgroup.dir(), ready.path());
        assert_eq!(read("kbsd/cgroup.procs"), "42");
        assert_eq!(read("cgroup.subtree_control"), "+memory +pids");

        let shared = group("memory pids\n", "42\n43\n");
        assert!(matches!(Cgroup::prepare_in(shared.path(), 42), Err(NoCgroup::Shared { .. })));
        assert!(!shared.path().join("kbsd").exists());
        let poor = group("hugetlb pids\n", "42\n");
        let missing = Cgroup::prepare_in(poor.path(), 42);
        assert!(matches!(missing, Err(NoCgroup::Controller { controller: "memory", .. })));
        let nowhere = Cgroup::prepare_in(Path::new("/no/such/group"), 42);
        assert!(nowhere.is_err());
    }

    #[test]
    fn a_daemon_that_starts_again_finds_its_subtree_from_below() {
        let dir = group("memory pids\n", "");
        fs::create_dir(dir.path().join(OWN)).unwrap();
        let cgroup = Cgroup::prepare_in(&dir.path().join(OWN), 42).unwrap();
        assert_eq!(cgroup.dir(), dir.path());
    }

    #[test]
    fn a_jails_group_has_its_limits_and_tells_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let limits =
            Limits { memory_b: Some(1000), pids: Some(7), scratch_b: 500, ..Limits::default() };
        let group = Cgroup::at(dir.path()).make(3, &limits, &Scratch::Memory).unwrap();
        let at = dir.path().join(format!("jail-{}-3", std::process::id()));
        let read = |name: &str| fs::read_to_string(at.join(name)).unwrap();
        assert_eq!([read("memory.max"), read("pids.max")], ["1500", "8"]);
        assert_eq!(read("memory.oom.group"), "1");
        let write = |name: &str, text: &str| {
            fs::write(at.join(name), text).unwrap();
        };
        write("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n");
        write("memory.stat", "anon 4096\nanon_thp 1\nfile 9\nshmem 700\npagetables 4\n");
        write("pids.current", "5\n");
        let level = group.level(600);
        assert_eq!((level.memory_b, level.pids), (4096 + 100 + 4, 4));
        assert_eq!((level.user, level.system).0, Duration::from_micros(20));
        assert_eq!(group.passed(), None);
        // Refused by a group above: this one was never full.
        write("pids.events", "max 2\n");
        write("pids.peak", "5\n");
        assert_eq!(group.passed(), None);
        write("pids.peak", "8\n");
        assert_eq!(group.passed(), Some(Limit::Pids));
        // Killed for a group above.
        write("memory.events", "low 0\noom 0\noom_kill 1\n");
        write("memory.events.local", "low 0\noom 0\noom_kill 1\n");
        assert_eq!(group.passed(), Some(Limit::Pids));
        write("memory.events.local", "low 0\noom 1\noom_kill 1\n");
        assert_eq!(group.passed(), Some(Limit::Memory));
        // Its counts are no other jail's.
        assert!(Cgroup::at(dir.path()).make(3, &limits, &Scratch::Memory).is_err());
    }
}
