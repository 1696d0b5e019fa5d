//! Trying an attack with walls and without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    os::{
        fd::OwnedFd,
        unix::{fs::symlink, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use kbs_sandbox::{Input, JailSpec, Job, State, Step, Wall, probe};

use crate::kit::{Kit, PROGRAM, path, step};

const PRELUDE: &str = include_str!("prelude.py");

/// Numbers of system calls that C libraries may not have a name for; the same everywhere.
const NEW_CALLS: [(&str, i64); 6] = [
    ("fchmodat2", 452),
    ("statmount", 457),
    ("listmount", 458),
    ("memfd_secret", 447),
    ("open_tree_attr", 467),
    ("quotactl_fd", 443),
];

macro_rules! calls {
    ($($name:ident)*) => { [$((stringify!($name), libc::$name)),*] };
}

/// What an attack said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held(String),
    Escaped(String),
}

impl Verdict {
    pub(crate) fn escaped(&self) -> bool {
        matches!(self, Self::Escaped(_))
    }

    /// Reads the line that an attack ends with.
    pub(crate) fn read(log: &str) -> Option<Self> {
        log.lines().find_map(|line| match line.split_once(": ")? {
            ("held", why) => Some(Self::Held(why.to_owned())),
            ("escaped", what) => Some(Self::Escaped(what.to_owned())),
            _ => None,
        })
    }
}

/// An attack: a Python script, and the jail in which it is tried.
pub(crate) struct Attempt<'a> {
    kit: &'a Kit,
    script: &'a str,
    spec: JailSpec,
    only_this_image: bool,
    prepare: Box<dyn Fn() + 'a>,
}

/// An attack by a user, with an image that belongs to the same user.
pub(crate) fn attempt<'a>(kit: &'a Kit, script: &'a str) -> Attempt<'a> {
    let usr = Input { host: "/usr".into(), inside: path("/usr") };
    let spec = JailSpec { root: image(kit), inputs: vec![usr], ..kit.spec("") };
    Attempt { kit, script, spec, only_this_image: false, prepare: Box::new(|| {}) }
}

/// A small image, with a place for the host's programs.
pub(crate) fn image(kit: &Kit) -> PathBuf {
    let root = kit.dir.path().join("image");
    if !root.exists() {
        kit.make_dir("image");
        kit.make_dir("image/usr");
        kit.make_dir("image/etc");
        for name in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
    }
    root
}

impl<'a> Attempt<'a> {
    /// Tells the script something.
    pub(crate) fn env(mut self, name: &str, value: impl Display) -> Self {
        self.spec.env.insert(name.to_owned(), value.to_string());
        self
    }

    /// Tells the script a path.
    pub(crate) fn env_path(self, name: &str, path: &Path) -> Self {
        self.env(name, path.display())
    }

    /// Does this before each try.
    pub(crate) fn prepared(mut self, prepare: impl Fn() + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Changes the jail.
    pub(crate) fn jail(mut self, change: impl FnOnce(&mut JailSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Shows a file or directory of the host as an input.
    pub(crate) fn input(mut self, host: &Path, inside: &str) -> Self {
        self.spec.inputs.push(Input { host: host.to_owned(), inside: path(inside) });
        self
    }

    /// Does without the host's own root as the image, which has what is looked for.
    pub(crate) fn only_this_image(mut self) -> Self {
        self.only_this_image = true;
        self
    }

    /// Has the image shown by mounts of its entries, as where it cannot be the layer of an overlay.
    pub(crate) fn entry_by_entry(self) -> Self {
        self.jail(|spec| spec.without.extend([Wall::ReadOnly]))
    }

    /// Fails unless the whole jail holds, each of the walls does alone, and nothing does without
    /// them.
    #[track_caller]
    pub(crate) fn held_by(&self, walls: &[Wall]) {
        self.held();
        walls_hold(walls, |without| self.in_jail(without));
    }

    /// Fails unless the whole jail holds, and does not as soon as one of the walls is missing.
    #[track_caller]
    pub(crate) fn held_by_all_of(&self, walls: &[Wall]) {
        self.held();
        for &wall in walls {
            assert!(self.in_jail(&[wall]).escaped(), "it holds without `{wall}`");
        }
    }

    /// Fails unless the jail holds, even without these walls, and what the script does can be done
    /// outside by the same user: it is the kernel that holds, by what a jail always is.
    #[track_caller]
    pub(crate) fn held_even_without(&self, walls: &[Wall]) {
        self.held();
        if !walls.is_empty() {
            assert_held(&self.in_jail(walls), "the jail without these walls");
        }
        let outside = self.outside();
        assert!(outside.escaped(), "the attack does not work: {outside:?}");
    }

    /// Fails unless the whole jail holds.
    #[track_caller]
    pub(crate) fn held(&self) {
        let whole = JailSpec { without: BTreeSet::new(), ..self.spec.clone() };
        if !self.only_this_image {
            let of_host = JailSpec { root: "/".into(), ..whole.clone() };
            assert_held(&self.run(of_host), "the whole jail with the host's root as image");
        }
        assert_held(&self.run(whole), "the whole jail");
    }

    /// Tries it in a jail.
    pub(crate) fn in_jail(&self, without: &[Wall]) -> Verdict {
        self.run(self.spec(without))
    }

    fn run(&self, mut spec: JailSpec) -> Verdict {
        (self.prepare)();
        spec.steps = vec![self.step()];
        let ran = self.kit.run(&spec);
        Verdict::read(&ran.log).unwrap_or_else(|| {
            let (without, outcome) = (&spec.without, &ran.finished.outcome);
            panic!("no verdict without {without:?}: {outcome:?}\n{}", ran.log)
        })
    }

    /// Starts it in a jail; its log comes from the returned end of a pipe.
    pub(crate) fn start(&self, without: &[Wall]) -> (Job, OwnedFd) {
        self.kit.start(&self.spec(without))
    }

    /// The jail in which it is tried.
    pub(crate) fn spec(&self, without: &[Wall]) -> JailSpec {
        let mut spec = self.spec.clone();
        spec.without.extend(without);
        spec.steps = vec![self.step()];
        spec
    }

    /// The step that tries it.
    fn step(&self) -> Step {
        step(&["python3", "-ISB", "-c", &self.text()])
    }

    /// Tries it in no jail, as the same user.
    pub(crate) fn outside(&self) -> Verdict {
        (self.prepare)();
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-ISB", "-c", &self.text()]).current_dir(self.kit.dir.path());
        command.env_clear().envs(&self.spec.env);
        if self.kit.uid() != 0 && rustix::process::geteuid().is_root() {
            command.uid(self.kit.uid()).gid(self.kit.uid());
        }
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        Verdict::read(&log).unwrap_or_else(|| panic!("no verdict outside: {output:?}"))
    }

    /// Whether the host can do it at all: some kernels are built without it.
    pub(crate) fn host_can(&self) -> bool {
        self.outside().escaped()
    }

    fn text(&self) -> String {
        format!("NR = {:?}\n{PRELUDE}\n{}", numbers(), self.script)
    }
}

/// Whether the kernel's Landlock takes away all that newer ones do: only then it stands alone.
static LANDLOCK_IS_WHOLE: LazyLock<bool> = LazyLock::new(|| {
    let report = probe(Path::new(PROGRAM)).unwrap();
    let mut parts = report.layers.iter().filter(|layer| layer.name.starts_with("landlock"));
    parts.all(|part| part.state == State::Ok)
});

/// Fails unless the whole of the jail holds, each of the walls does alone, and nothing does without
/// them.
#[track_caller]
pub(crate) fn walls_hold(walls: &[Wall], tried: impl Fn(&[Wall]) -> Verdict) {
    assert_held(&tried(&[]), "the whole jail");
    let stands = |wall: &Wall| *wall != Wall::Landlock || *LANDLOCK_IS_WHOLE;
    for wall in walls.iter().filter(|wall| walls.len() > 1 && stands(wall)) {
        let others: BTreeSet<Wall> = walls.iter().copied().filter(|other| other != wall).collect();
        let others: Vec<Wall> = others.into_iter().collect();
        assert_held(&tried(&others), &format!("`{wall}` alone"));
    }
    let without = tried(walls);
    assert!(without.escaped(), "something else holds without {walls:?}: {without:?}");
}

#[track_caller]
fn assert_held(verdict: &Verdict, by: &str) {
    assert!(!verdict.escaped(), "{by} does not hold: {verdict:?}");
}

/// The system calls that attacks name.
fn numbers() -> BTreeMap<&'static str, i64> {
    let named = calls!(
        SYS_add_key SYS_bpf SYS_chroot SYS_clock_settime SYS_clone SYS_clone3 SYS_fanotify_init
        SYS_fchmodat SYS_finit_module SYS_fsconfig SYS_fsmount SYS_fsopen SYS_getpid SYS_init_module
        SYS_io_uring_setup SYS_kcmp SYS_kexec_load SYS_keyctl SYS_linkat SYS_memfd_create SYS_mknodat
        SYS_mount SYS_mount_setattr SYS_move_mount SYS_name_to_handle_at SYS_open_by_handle_at
        SYS_open_tree SYS_openat SYS_openat2 SYS_perf_event_open SYS_personality SYS_pidfd_getfd
        SYS_pidfd_open SYS_pidfd_send_signal SYS_pivot_root SYS_process_vm_readv
        SYS_process_vm_writev SYS_ptrace SYS_reboot SYS_request_key SYS_sched_setscheduler
        SYS_sethostname SYS_setns SYS_setxattr SYS_shmget SYS_shmat SYS_swapon SYS_syslog SYS_tgkill
        SYS_umount2 SYS_unshare SYS_userfaultfd SYS_utimensat SYS_prlimit64 SYS_msgget SYS_semget
        SYS_mq_open SYS_msgsnd SYS_timer_create SYS_io_setup SYS_vmsplice
    );
    let named = named.into_iter().map(|(name, number)| (name.trim_start_matches("SYS_"), number));
    named.chain(NEW_CALLS).collect()
}
