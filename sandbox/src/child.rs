//! The life of a jail's first process: build the jail around itself, run the steps, report.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags, fchmod, fstat, open},
    io::Errno,
    process::{
        DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, getrlimit, ioctl_tiocsctty,
        set_dumpable_behavior, set_parent_process_death_signal, setrlimit, setsid, umask,
    },
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    system::{setdomainname, sethostname},
};

use crate::{
    Console, JailSpec, Limits, Op, Outcome, Scratch, SetupFailure, Wall, filter, ops,
    ops::{DOMAIN_NAME, HOST_NAME, INSIDE_ID},
    probe, seal,
    space::ScratchSpace,
    stage::{Shown, Stage, StageError, leave_old_root, stop_propagation},
    steps::{self, Group},
    sys,
    walk::Measured,
    wire::{self, FromJail},
};

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// Stack of every program, whatever the caller's is: it decides where the heap lies.
const STACK_B: u64 = 8 << 20;

/// What the hard limits of the caller must allow for every build to have the same; `None`: no limit.
pub(crate) const CONTRACT: [(Resource, Option<u64>); 8] = [
    (Resource::Core, Some(1)),
    (Resource::Stack, Some(STACK_B)),
    (Resource::Nofile, Some(4096)),
    (Resource::Fsize, None),
    (Resource::As, None),
    (Resource::Data, None),
    (Resource::Cpu, None),
    (Resource::Locks, None),
];

/// What is told of an operation that failed.
const TOLD_B: usize = 1024;

/// The least room between a limit and what the kernel enforces.
const SCRATCH_SLACK_B: u64 = 32 << 20;
const COUNT_SLACK: u64 = 64;

/// Who the jail's user is outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// What a jail's first process is given.
pub(crate) struct Child<'a> {
    pub(crate) spec: &'a JailSpec,
    pub(crate) outside: Identity,
    pub(crate) console: Console,
    pub(crate) helper: OwnedFd,
}

/// Lives the life of a jail's first process, in a process that was just copied from the helper.
pub(crate) fn live(child: Child<'_>) -> ! {
    // A panic must not unwind into the helper's code, of which this process is a copy.
    let reported = catch_unwind(AssertUnwindSafe(|| {
        let outcome = run(&child);
        let Child { spec: _, outside: _, console, helper } = child;
        end_streams(console)?;
        let usage = sys::process::children_usage();
        wire::send(&helper, &FromJail::Over { outcome, usage }, &[])
    }));
    sys::process::exit_now(match reported {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 1,
    })
}

/// Closes the streams, so that their reader has come to its end when the end of the jail is told.
fn end_streams(console: Console) -> Result<(), Errno> {
    drop(console);
    let nothing = open("/dev/null", READ, Mode::empty())?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)
}

fn run(child: &Child<'_>) -> Outcome {
    let mut jail = Jail { child, stage: None, scratch: None, shown: Shown::Layered, user: None };
    for (index, op) in ops(child.spec).iter().enumerate() {
        match jail.perform(op) {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            Err(error) => {
                return Outcome::SetupFailed(SetupFailure {
                    index,
                    op: brief(op.to_string()),
                    help: probe::help_for(op, &error),
                    errno: error.errno.raw_os_error(),
                    detail: error.detail.map(brief),
                });
            }
        }
    }
    Outcome::Succeeded
}

/// The beginning of a text: commands and paths may be longer than a message.
fn brief(mut text: String) -> String {
    if text.len() > TOLD_B {
        text.truncate(text.floor_char_boundary(TOLD_B));
        text.push('…');
    }
    text
}

/// The jail as far as it is built.
struct Jail<'a> {
    child: &'a Child<'a>,
    stage: Option<Stage>,
    scratch: Option<ScratchSpace>,
    shown: Shown,
    /// Its user namespace.
    user: Option<OwnedFd>,
}

impl Jail<'_> {
    /// Does one thing; an outcome ends the jail.
    fn perform(&mut self, op: &Op<'_>) -> Result<Option<Outcome>, StageError> {
        match *op {
            Op::DieWithHelper => self.die_with_helper()?,
            Op::MapUser => {
                map_user(self.child.outside)?;
                // While the namespace still can be reached by name.
                self.user = Some(open("/proc/self/ns/user", READ, Mode::empty())?);
            }
            Op::HideCgroups => sys::clone::hide_cgroups()?,
            Op::LimitUser => self.limit_user(),
            Op::NoNamespaces => no_namespaces(),
            Op::NameHost => {
                sethostname(HOST_NAME.as_bytes())?;
                setdomainname(DOMAIN_NAME.as_bytes())?;
            }
            Op::RaiseLoopback => sys::loopback::raise()?,
            Op::StopPropagation => stop_propagation()?,
            Op::MountRoot => self.stage = Some(Stage::new(&self.child.spec.without)?),
            Op::ShowImage { host } => {
                self.stage.as_mut().ok_or(Errno::INVAL)?.show_image(host)?;
            }
            Op::MountScratch { size_b, files } => {
                let size_b = with_slack(size_b, SCRATCH_SLACK_B);
                let files = with_slack(files, COUNT_SLACK);
                self.scratch = Some(self.stage()?.scratch_in_memory(size_b, files)?);
            }
            Op::OpenScratch { dir } => self.scratch = Some(ScratchSpace::on_disk(dir)?),
            Op::ReopenScratch { dir } => self.scratch = Some(ScratchSpace::reopened(dir)?),
            Op::MountSource { layers } => {
                self.shown = self.stage()?.mount_source(self.scratch()?, layers)?;
            }
            Op::CopySource { layers } => {
                self.stage()?.copy_source(self.scratch()?, layers)?;
                self.shown = Shown::Copied;
            }
            Op::BindPart(part) => self.stage()?.bind_part(self.scratch()?, part)?,
            Op::BindDevice { name } => self.stage()?.bind_device(name)?,
            Op::LinkDescriptors => self.stage()?.link_descriptors()?,
            Op::MountProc => self.stage()?.mount_proc()?,
            Op::BindInput(input) => self.stage()?.bind_input(input)?,
            Op::HandOutDirs => self.hand_out()?,
            Op::EnterRoot => {
                self.stage()?.enter()?;
                if self.has(Wall::OldRoot) {
                    leave_old_root()?;
                }
            }
            Op::WriteFile(file) => self.stage()?.write_file(file)?,
            Op::FreezeRoot => self.stage()?.freeze()?,
            Op::Limit { limits, file_b } => {
                if self.has(Wall::ResourceLimits) {
                    limit(limits, file_b)?;
                }
                umask(Mode::from_raw_mode(0o022));
                sys::process::fix_addresses()?;
                sys::process::reset_scheduling()?;
            }
            Op::ConnectStreams => self.connect_streams()?,
            Op::DropCapabilities => {
                seal::drop_capabilities()?;
                if self.has(Wall::FirstUntraced) {
                    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
                }
            }
            Op::Landlock => seal::apply_landlock()?,
            Op::FilterSyscalls => sys::seccomp::install(&filter::PROGRAM)?,
            Op::Run { index, step } => {
                let group = match self.child.console {
                    Console::Log(_) | Console::Streams(_) => Group::Own,
                    Console::Terminal(_) => Group::Ours,
                };
                return Ok(steps::run(index, step, &self.child.spec.env, group)?);
            }
        }
        Ok(None)
    }

    fn hand_out(&mut self) -> Result<(), Errno> {
        let [src, out, proc] = self.stage()?.hand_out()?;
        let user = self.user.take().ok_or(Errno::INVAL)?;
        let base = match &self.child.spec.scratch {
            Scratch::Memory => Measured::of_file_system(&out)?,
            Scratch::Directory(_) | Scratch::Kept(_) => Measured::default(),
        };
        let message = FromJail::Dirs { copied: self.shown == Shown::Copied, base };
        let fds = [src.as_fd(), out.as_fd(), proc.as_fd(), user.as_fd()];
        wire::send(&self.child.helper, &message, &fds)
    }

    /// Sets what can be set through the host's `/proc` alone: limits of what would be taken from all
    /// processes that the same user has on the host, and what a caller may have changed of itself.
    /// When memory runs out, the jail goes before the daemon.
    fn limit_user(&self) {
        try_to_set([
            ("sys/user/max_inotify_instances", "8"),
            ("sys/user/max_inotify_watches", "4096"),
            ("self/oom_score_adj", "500"),
            ("self/coredump_filter", "0x33"),
        ]);
        // These are the jail's own only in namespaces of its own.
        if self.has(Wall::IpcNamespace) {
            // From Linux 6.9 on. Each costs memory of the kernel that is no process's.
            try_to_set([("sys/kernel/msgmni", "64"), ("sys/kernel/sem", "32 4096 32 128")]);
        }
        if self.has(Wall::NetNamespace) {
            // It would connect past Landlock.
            try_to_set([("sys/net/ipv4/tcp_fastopen", "0")]);
        }
    }

    fn has(&self, wall: Wall) -> bool {
        !self.child.spec.without.contains(&wall)
    }

    fn stage(&self) -> Result<&Stage, Errno> {
        self.stage.as_ref().ok_or(Errno::INVAL)
    }

    fn scratch(&self) -> Result<&ScratchSpace, Errno> {
        self.scratch.as_ref().ok_or(Errno::INVAL)
    }

    fn die_with_helper(&self) -> Result<(), Errno> {
        let Child { spec: _, outside: _, console, helper } = self.child;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if self.has(Wall::Descriptors) {
            // Includes our copy of the helper's end of the connection.
            let mut keep = console.descriptors();
            keep.push(helper.as_fd());
            sys::fds::close_all_but(&keep)?;
        }
        // If the helper died before the request, its end is closed by now.
        let mut connection = [PollFd::new(helper, PollFlags::IN)];
        if poll(&mut connection, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0 {
            return Err(Errno::PIPE);
        }
        setsid()?;
        // Modes are meant as they are written, until the steps get their own mask.
        umask(Mode::empty());
        Ok(())
    }

    fn connect_streams(&self) -> Result<(), Errno> {
        match &self.child.console {
            Console::Log(log) => {
                keep_for_its_reader(log)?;
                dup2_stdin(open("/dev/null", READ, Mode::empty())?)?;
                dup2_stdout(log)?;
                dup2_stderr(log)?;
            }
            Console::Streams([input, output, errors]) => {
                dup2_stdin(input)?;
                dup2_stdout(output)?;
                dup2_stderr(errors)?;
            }
            Console::Terminal(terminal) => {
                ioctl_tiocsctty(terminal)?;
                dup2_stdin(terminal)?;
                dup2_stdout(terminal)?;
                dup2_stderr(terminal)?;
            }
        }
        if self.has(Wall::Descriptors) { sys::fds::close_all_on_exec() } else { Ok(()) }
    }
}

/// Makes a pipe writable only: who could open it again for reading could take back what was printed.
fn keep_for_its_reader(log: &OwnedFd) -> Result<(), Errno> {
    if FileType::from_raw_mode(fstat(log)?.st_mode) != FileType::Fifo {
        return Ok(());
    }
    match fchmod(log, Mode::WUSR) {
        // Somebody else's cannot be opened again anyway.
        Err(Errno::PERM) => Ok(()),
        other => other,
    }
}

/// Becomes uid and gid 1000 of the new user namespace: the one mapping that needs no privilege.
pub(crate) fn map_user(Identity { uid, gid }: Identity) -> Result<(), StageError> {
    let lines = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{INSIDE_ID} {uid} 1")),
        ("gid_map", format!("{INSIDE_ID} {gid} 1")),
    ];
    for (file, line) in lines {
        fs::write(format!("/proc/self/{file}"), line).map_err(|error| StageError {
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
            detail: Some(file.to_owned()),
        })?;
    }
    Ok(())
}

/// Allows the jail's user namespace no others below it. Not so namespaces of mounts, for every mount
/// that is not attached yet is in one; they need a user namespace anyway.
fn no_namespaces() {
    try_to_set([
        ("sys/user/max_user_namespaces", "0"),
        ("sys/user/max_pid_namespaces", "0"),
        ("sys/user/max_net_namespaces", "0"),
        ("sys/user/max_ipc_namespaces", "0"),
        ("sys/user/max_uts_namespaces", "0"),
        ("sys/user/max_cgroup_namespaces", "0"),
        ("sys/user/max_time_namespaces", "0"),
    ]);
}

/// Writes to files in `/proc`. Where a container has made them read-only, they stay as they are.
fn try_to_set<const N: usize>(settings: [(&str, &str); N]) {
    for (file, value) in settings {
        let _set = fs::write(format!("/proc/{file}"), value);
    }
}

/// What a limit is set to where the kernel enforces it without telling: a little above, so that our
/// own accounts see it passed and can name it.
fn with_slack(limit: u64, least: u64) -> u64 {
    limit.saturating_add((limit / 8).max(least))
}

/// Sets every resource limit, those that a host leaves to its users too: what a build can ask for
/// must not depend on who runs it where. Only what the caller itself cannot go beyond is left.
fn limit(limits: &Limits, file_b: Option<u64>) -> Result<(), Errno> {
    let Limits { wall: _, scratch_b: _, scratch_files: _, open_files, pids, memory_b: _ } = limits;
    let most = [
        // One byte: no core fits in it, and it is the only limit at which no handler of the host's
        // is started either (`core(5)`).
        (Resource::Core, Some(1)),
        (Resource::Nofile, Some(*open_files)),
        (Resource::Nproc, pids.map(|pids| with_slack(pids, COUNT_SLACK))),
        (Resource::Fsize, file_b),
        (Resource::Memlock, Some(64 << 10)),
        (Resource::Sigpending, Some(4096)),
        (Resource::Msgqueue, Some(800 << 10)),
        (Resource::Nice, Some(0)),
        (Resource::Rtprio, Some(0)),
        (Resource::As, None),
        (Resource::Cpu, None),
        (Resource::Data, None),
        (Resource::Locks, None),
        (Resource::Rss, None),
        (Resource::Rttime, None),
    ];
    for (resource, most) in most {
        let hard = getrlimit(resource).maximum;
        let allowed = match (hard, most) {
            (Some(hard), Some(most)) => Some(hard.min(most)),
            (hard, most) => hard.or(most),
        };
        setrlimit(resource, Rlimit { current: allowed, maximum: allowed })?;
    }
    let hard = getrlimit(Resource::Stack).maximum;
    let stack = hard.map_or(STACK_B, |hard| hard.min(STACK_B));
    setrlimit(Resource::Stack, Rlimit { current: Some(stack), maximum: hard })
}
