//! Starting jails as root and as nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    thread,
    time::Duration,
};

use kbs_sandbox::{
    Cgroup, Console, Finished, Helper, JailFile, JailPath, JailSpec, Job, Limits, Outcome, Scratch,
    Step,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, fchown, openat},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Uid, geteuid, pidfd_open},
};
use tempfile::TempDir;

const NOBODY: u32 = 65534;
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kbs-jail-test-helper");

/// A helper, and a directory that belongs to its user.
pub(crate) struct Kit {
    pub(crate) helper: Helper,
    pub(crate) dir: TempDir,
    uid: u32,
}

/// A jail that is over.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    pub(crate) log: String,
}

/// Calls `test` once for every user that a helper can be started as.
pub(crate) fn as_each_user(test: impl Fn(&Kit)) {
    for kit in kits() {
        test(&kit);
    }
}

/// One kit for every user that a helper can be started as.
pub(crate) fn kits() -> Vec<Kit> {
    let uid = geteuid().as_raw();
    let own = tempfile::tempdir().unwrap();
    let helper = Helper::start(Path::new(PROGRAM), cgroup()).unwrap();
    let mut kits = vec![Kit { helper, dir: own, uid }];
    if uid == 0 {
        kits.push(as_nobody());
    }
    for kit in &kits {
        kit.make_dir("source");
    }
    kits
}

/// Control groups for the jails of our own user, where somebody has delegated some to us alone.
#[expect(clippy::print_stderr, reason = "who runs the tests must know what they did not try")]
fn cgroup() -> Option<&'static Cgroup> {
    static CGROUP: LazyLock<Option<Cgroup>> = LazyLock::new(|| match Cgroup::prepare() {
        Ok(cgroup) => Some(cgroup),
        Err(none) => {
            eprintln!(
                "no control groups: limits are tried with the helper's own accounts ({none})"
            );
            None
        }
    });
    CGROUP.as_ref()
}

fn as_nobody() -> Kit {
    let dir = tempfile::tempdir().unwrap();
    let (program, copy) = (dir.path().join("as-nobody"), dir.path().join("helper"));
    fs::copy(PROGRAM, &copy).unwrap();
    let ids = format!("--reuid {NOBODY} --regid {NOBODY} --clear-groups");
    let script = format!("#!/bin/sh\nexec /usr/bin/setpriv {ids} {} \"$@\"\n", copy.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    lchown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // A process that another test is just starting may still have the copies open for writing, as
    // long as it has not become its program. Without an argument the helper does nothing.
    let runs = || Command::new(&program).status().is_ok_and(|status| status.success());
    assert!((0..1000).any(|_| runs()), "the helper cannot be started as nobody");
    Kit { helper: Helper::start(&program, None).unwrap(), dir, uid: NOBODY }
}

impl Kit {
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    /// Makes a directory of the helper's user.
    pub(crate) fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        lchown(&path, Some(self.uid), Some(self.uid)).unwrap();
        path
    }

    /// Makes a file of the helper's user.
    pub(crate) fn make_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        lchown(&path, Some(self.uid), Some(self.uid)).unwrap();
        path
    }

    /// A jail with a source, in memory, that runs `script` in `/build/src`.
    pub(crate) fn spec(&self, script: &str) -> JailSpec {
        JailSpec {
            root: "/".into(),
            source: vec![self.source()],
            inputs: vec![],
            files: vec![],
            steps: vec![step(&["sh", "-c", script])],
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin:/sbin".to_owned())]),
            limits: Limits { scratch_b: 64 << 20, ..Limits::default() },
            scratch: Scratch::Memory,
            sample_every: Duration::from_millis(100),
            without: BTreeSet::new(),
        }
    }

    /// Starts a jail; its log comes from the returned end of a pipe.
    pub(crate) fn start(&self, spec: &JailSpec) -> (Job, OwnedFd) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        // A daemon and its helper are one user.
        fchown(&writer, Some(Uid::from_raw(self.uid)), None).unwrap();
        (self.helper.run(spec, Console::Log(writer), |_| {}).unwrap(), reader)
    }

    pub(crate) fn run(&self, spec: &JailSpec) -> Ran {
        let (job, log) = self.start(spec);
        let reader = thread::spawn(move || {
            let mut text = String::new();
            fs::File::from(log).read_to_string(&mut text).unwrap();
            text
        });
        let finished = job.wait().unwrap();
        Ran { finished, log: reader.join().unwrap() }
    }

    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.run(&self.spec(script))
    }

    /// Runs `script`, which must succeed; what it printed.
    pub(crate) fn out(&self, script: &str) -> String {
        self.sh(script).succeeded()
    }
}

impl Ran {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.finished.outcome, Outcome::Succeeded, "log:\n{}", self.log);
        self.log
    }
}

pub(crate) fn path(text: &str) -> JailPath {
    JailPath::new(text).unwrap()
}

pub(crate) fn step(argv: &[&str]) -> Step {
    Step { argv: argv.iter().map(|&arg| arg.to_owned()).collect(), cwd: path("/build/src") }
}

pub(crate) fn file(at: &str, text: &str, mode: u32) -> JailFile {
    JailFile { path: path(at), bytes: text.as_bytes().to_vec(), mode }
}

/// Reads a file beneath an open directory.
pub(crate) fn read(dir: &OwnedFd, name: &str) -> std::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut text = String::new();
    fs::File::from(openat(dir, name, flags, Mode::empty())?).read_to_string(&mut text)?;
    Ok(text)
}

/// A process seen from outside, which stays the same when its number is used again.
pub(crate) struct Watched(OwnedFd);

impl Watched {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        Self(pidfd_open(pid, PidfdFlags::empty()).unwrap())
    }

    pub(crate) fn kill(&self) {
        rustix::process::pidfd_send_signal(&self.0, rustix::process::Signal::KILL).unwrap();
    }

    /// Waits for its end; fails the test if that takes longer than anything can.
    #[track_caller]
    pub(crate) fn assert_dies(&self) {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        let most = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(poll(&mut polled, Some(&most)), Ok(1), "the process lives on");
    }
}

/// Waits until a jail has printed a line; the line.
pub(crate) fn first_line(log: &OwnedFd) -> String {
    let mut line = String::new();
    let mut byte = [0];
    while rustix::io::read(log, &mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(char::from(byte[0]));
    }
    line
}

/// The number of a jail's first process, as soon as it is known.
pub(crate) fn pid_of(job: &Job) -> u32 {
    loop {
        match job.pid() {
            Some(pid) => return pid,
            None => thread::yield_now(),
        }
    }
}

/// The parent's number of a process.
pub(crate) fn parent_of(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Longer than any test may take.
pub(crate) const FOREVER: Duration = Duration::from_mins(10);
