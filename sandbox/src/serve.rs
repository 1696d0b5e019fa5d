//! The helper process: starts jails, watches them, tells the daemon how they ended.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, SeekFrom, open, seek},
    io::{Errno, fcntl_dupfd_cloexec},
    net::{SocketType, sockopt::socket_type},
    process::{
        Pid, Resource, Rlimit, Signal, getegid, geteuid, getrlimit, pidfd_send_signal, setrlimit,
        setsid,
    },
    stdio::{dup2_stdin, stdin},
    thread::set_thread_groups,
};

use crate::{
    Console, JailSpec, Limit, Outcome, ResultDirs, Scratch, SetupFailure, Usage, Wall,
    cgroup::{Cgroup, JailGroup},
    child::{self, CONTRACT, Child, Identity},
    console::ConsoleKind,
    filter, host,
    meter::{Look, Meter, Place},
    probe,
    sys::{
        self,
        clone::{Cloned, Namespace, clone_into},
    },
    walk::{Measured, Walk},
    wire::{self, FromHelper, FromJail, ToHelper},
};

/// First argument of a helper process.
pub(crate) const HELPER_ARGUMENT: &str = "__kbs-jail-helper";
/// First argument of a process that finds out what the kernel offers.
pub(crate) const PROBE_ARGUMENT: &str = "__kbs-jail-probe";

/// Becomes the jail helper if this process was started as one, and does not return then.
///
/// Call it first in `main`, before any thread is started.
#[expect(clippy::exit, reason = "the process was started for this and nothing else")]
pub fn helper_main_if_asked() {
    // Who starts us may ignore it, and then no end of a process could be waited for.
    sys::process::hear_of_children();
    let mut arguments = std::env::args_os().skip(1);
    let asked = arguments.next();
    let status = match asked.as_ref().and_then(|argument| argument.to_str()) {
        Some(HELPER_ARGUMENT) => match serve(arguments.next().as_deref().map(Path::new)) {
            Ok(()) => 0,
            Err(_) => 70,
        },
        Some(PROBE_ARGUMENT) => probe::answer(),
        _ => return,
    };
    std::process::exit(status);
}

/// How often to look how much memory is left, and how long to wait for what a killed jail gives back.
const GUARD_PAUSE: Duration = Duration::from_millis(100);
const GUARD_REST: Duration = Duration::from_millis(500);
/// A scratch on disk is measured this long after the start, and then with such pauses.
const FIRST_WALK: Duration = Duration::from_millis(500);
const WALK_PAUSE: Duration = Duration::from_secs(1);

/// Serves the connection on standard input until it ends, and then kills every jail.
fn serve(cgroup: Option<&Path>) -> Result<(), Errno> {
    if socket_type(stdin())? != SocketType::SEQPACKET {
        return Err(Errno::NOTSOCK);
    }
    let daemon = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    // A terminal's interrupt is for the daemon, which then decides about its jails. It fails only
    // for a process that leads a session already.
    let _leader = setsid();
    sys::process::reset_signals();
    lift_limits()?;
    // Root's right alone: it is in groups that no jail has to do with.
    let _left = set_thread_groups(&[]);

    let mut server = Server {
        daemon,
        outside: Identity { uid: geteuid(), gid: getegid() },
        cgroup: cgroup.map(Cgroup::at),
        jails: Vec::new(),
        next_guard: Instant::now(),
    };
    // Compiled here, every jail inherits it.
    let _compiled = &*filter::PROGRAM;
    let served = server.serve();
    server.end();
    served
}

/// Takes off what limits were put on us, as far as we may: each jail gets its own, and one helper
/// holds several descriptors for each.
pub(crate) fn lift_limits() -> Result<(), Errno> {
    let unlimited = Rlimit { current: None, maximum: None };
    for resource in CONTRACT.map(|(resource, _)| resource) {
        // Root's right alone.
        let _lifted = setrlimit(resource, unlimited);
    }
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
}

struct Server {
    daemon: OwnedFd,
    outside: Identity,
    cgroup: Option<Cgroup>,
    jails: Vec<Jail>,
    /// When to look again how much memory the machine has left.
    next_guard: Instant,
}

/// A jail whose first process has not been waited for.
struct Jail {
    id: u64,
    pid: Pid,
    pidfd: OwnedFd,
    spec: JailSpec,
    /// The connection to the first process, until it ends.
    connection: Option<OwnedFd>,
    started: Instant,
    deadline: Option<Instant>,
    /// Its control group.
    group: Option<JailGroup>,
    /// Once there is something to measure.
    meter: Option<Meter>,
    walks: Option<Walks>,
    /// Why we killed it, if we did.
    killed: Option<Outcome>,
    dirs: Option<ResultDirs>,
    copied: bool,
    /// Whether the daemon knows the end.
    told: bool,
}

/// The walks through a scratch on disk.
struct Walks {
    dir: OwnedFd,
    /// The jail's `/proc`.
    proc: OwnedFd,
    /// The jail's user namespace.
    user: OwnedFd,
    now: Option<Walk>,
    next: Instant,
}

/// The processes that may hold files without a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holders {
    Live,
    Dead,
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Source {
    Daemon,
    Said(usize),
    Walked(usize),
    Ended(usize),
}

impl Server {
    fn serve(&mut self) -> Result<(), Errno> {
        loop {
            let mut asked = false;
            // What a jail said before it ended comes first, and ends come from the last jail to the
            // first, because each takes its jail off the list.
            for source in self.wait()? {
                match source {
                    Source::Daemon => asked = true,
                    Source::Said(index) => self.hear(index)?,
                    Source::Walked(index) => self.jails[index].end_walk(),
                    Source::Ended(index) => self.bury(index)?,
                }
            }
            self.look_at_jails()?;
            if asked {
                match wire::receive::<ToHelper>(&self.daemon, wire::MAX_MESSAGE_B)? {
                    None => return Ok(()),
                    Some((ToHelper::Run { id, console }, fds)) => self.start(id, console, fds)?,
                    Some((ToHelper::Kill { id }, _)) => self.kill(id)?,
                }
            }
        }
    }

    /// Waits until something happens or a jail must be looked at.
    fn wait(&self) -> Result<Vec<Source>, Errno> {
        let mut polled = vec![(Source::Daemon, self.daemon.as_fd())];
        for (index, jail) in self.jails.iter().enumerate() {
            polled.extend(jail.connection.iter().map(|fd| (Source::Said(index), fd.as_fd())));
            let walk = jail.walks.as_ref().and_then(|walks| walks.now.as_ref());
            polled.extend(walk.map(|walk| (Source::Walked(index), walk.answer().as_fd())));
        }
        let ends = self.jails.iter().enumerate().rev();
        polled.extend(ends.map(|(index, jail)| (Source::Ended(index), jail.pidfd.as_fd())));
        let mut fds: Vec<PollFd<'_>> =
            polled.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let next = self.jails.iter().filter_map(Jail::next_look).min();
        let timeout = next.map(|next| timespec(next.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        let ready = polled.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((source, _), _)| *source).collect())
    }

    /// Starts a jail, or tells why not.
    fn start(&mut self, id: u64, console: ConsoleKind, fds: Vec<OwnedFd>) -> Result<(), Errno> {
        let started = Instant::now();
        let error = match self.try_start(id, (console, fds), started) {
            Ok(jail) => {
                let pid = jail.pid.as_raw_nonzero().get();
                self.jails.push(jail);
                return wire::send(&self.daemon, &FromHelper::Started { id, pid }, &[]);
            }
            Err(error) => error,
        };
        let outcome = Outcome::SetupFailed(error);
        let usage = Usage::default();
        let took = started.elapsed();
        let message = FromHelper::Finished { id, outcome, usage, took, copied: false };
        wire::send(&self.daemon, &message, &[])
    }

    fn try_start(
        &self,
        id: u64,
        (console, mut fds): (ConsoleKind, Vec<OwnedFd>),
        started: Instant,
    ) -> Result<Jail, SetupFailure> {
        let failed = |what: &str| {
            let op = what.to_owned();
            move |errno: Errno| SetupFailure {
                index: 0,
                op,
                detail: None,
                errno: errno.raw_os_error(),
                help: None,
            }
        };
        if fds.is_empty() {
            return Err(failed("take the request")(Errno::BADMSG));
        }
        let spec = read_spec(fds.remove(0)).map_err(failed("read the spec"))?;
        let console = Console::new(console, fds).map_err(failed("take the streams"))?;
        let (ours, theirs) = wire::connection().map_err(failed("connect to the jail"))?;
        let group = self.cgroup.as_ref().map(|all| all.make(id, &spec.limits, &spec.scratch));
        let group = group.transpose().map_err(failed("make the control group"))?;
        let place = group.as_ref().map(JailGroup::open).transpose();
        let place = place.map_err(failed("open the control group"))?;
        let cloned = clone_into(&namespaces(&spec), place.as_ref());
        let cloned = cloned.map_err(|errno| SetupFailure {
            help: Some(probe::help_for_namespaces(errno)),
            detail: probe::refused_namespaces(&Namespace::ALL, errno).detail,
            ..failed("create the namespaces")(errno)
        })?;
        match cloned {
            Cloned::Child => {
                child::live(Child { spec: &spec, outside: self.outside, console, helper: theirs })
            }
            Cloned::Parent { pid, pidfd } => Ok(Jail {
                id,
                pid,
                pidfd,
                connection: Some(ours),
                started,
                deadline: spec.limits.wall.and_then(|wall| started.checked_add(wall)),
                group,
                meter: None,
                walks: None,
                killed: None,
                dirs: None,
                copied: false,
                told: false,
                spec,
            }),
        }
    }

    /// Takes what a jail's first process says.
    fn hear(&mut self, index: usize) -> Result<(), Errno> {
        let jail = &mut self.jails[index];
        let Some(connection) = &jail.connection else { return Ok(()) };
        match wire::receive(connection, wire::MAX_FROM_JAIL_B) {
            Ok(Some((FromJail::Dirs { copied, base }, fds))) => {
                jail.copied = copied;
                let measured =
                    <[OwnedFd; 4]>::try_from(fds).is_ok_and(|fds| jail.measure(fds, base).is_ok());
                // Nobody would see it pass a limit.
                if !measured {
                    jail.kill(Outcome::Lost { signal: 0 })?;
                }
            }
            Ok(Some((FromJail::Over { outcome, usage }, _))) => {
                jail.connection = None;
                tell(&self.daemon, jail, outcome, usage)?;
            }
            // Nonsense from a jail is the jail's end, not the helper's.
            Ok(None) | Err(_) => jail.connection = None,
        }
        Ok(())
    }

    /// Removes a jail whose first process has ended.
    fn bury(&mut self, index: usize) -> Result<(), Errno> {
        while self.jails[index].connection.is_some() {
            self.hear(index)?;
        }
        let mut jail = self.jails.remove(index);
        let (signal, usage) = sys::process::reap(jail.pid)?;
        let outcome = jail.killed.take().unwrap_or(Outcome::Lost { signal });
        tell(&self.daemon, &mut jail, outcome, usage)?;
        jail.end_walk();
        if let Some(group) = jail.group.take() {
            group.remove();
        }
        Ok(())
    }

    /// Measures the jails whose time has come, and kills those that have passed a limit.
    fn look_at_jails(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        for jail in self.jails.iter_mut().filter(|jail| !jail.told && jail.killed.is_none()) {
            if jail.deadline.is_some_and(|deadline| deadline <= now) {
                jail.kill(Outcome::Exceeded(Limit::Wall))?;
                continue;
            }
            jail.begin_walk(now);
            let Some(meter) = jail.meter.as_mut().filter(|meter| meter.next() <= now) else {
                continue;
            };
            let Look { passed, report } = meter.look(jail.group.as_ref());
            if let Some(sample) = report {
                wire::send(&self.daemon, &FromHelper::Sample { id: jail.id, sample }, &[])?;
            }
            if let Some(limit) = passed {
                jail.kill(Outcome::Exceeded(limit))?;
            }
        }
        self.guard_memory(now)
    }

    /// Kills the largest jail when the machine has almost no memory left. Some memory belongs to no
    /// process (what is in sockets and pipes, shared memory that was let go), so that only a control
    /// group could say whose it is.
    fn guard_memory(&mut self, now: Instant) -> Result<(), Errno> {
        if self.next_guard > now {
            return Ok(());
        }
        self.next_guard = now + GUARD_PAUSE;
        let counted = |jail: &&mut Jail| {
            jail.group.is_none() && jail.meter.is_some() && !jail.told && jail.killed.is_none()
        };
        let holds = |jail: &&mut Jail| jail.meter.as_ref().map_or(0, Meter::holds_b);
        let largest = self.jails.iter_mut().filter(counted).max_by_key(holds);
        if let Some(jail) = largest.filter(|_| host::memory_is_low()) {
            self.next_guard = now + GUARD_REST;
            jail.kill(Outcome::Exceeded(Limit::HostMemory))?;
        }
        Ok(())
    }

    fn kill(&mut self, id: u64) -> Result<(), Errno> {
        match self.jails.iter_mut().find(|jail| jail.id == id) {
            Some(jail) => jail.kill(Outcome::Killed),
            None => Ok(()),
        }
    }

    /// Kills every jail and waits until it is dead.
    fn end(mut self) {
        for jail in &mut self.jails {
            // One that cannot be signalled has ended.
            let _result = jail.kill(Outcome::Killed);
        }
        for jail in &self.jails {
            let _result = sys::process::reap(jail.pid);
        }
    }
}

impl Jail {
    /// Kills the first process, and the kernel with it all others.
    fn kill(&mut self, why: Outcome) -> Result<(), Errno> {
        self.killed.get_or_insert(why);
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Err(Errno::SRCH) => Ok(()),
            other => other,
        }
    }

    /// When it must be looked at, if nothing happens before.
    fn next_look(&self) -> Option<Instant> {
        if self.told || self.killed.is_some() {
            return None;
        }
        let walk = self.walks.as_ref().filter(|walks| walks.now.is_none()).map(|walks| walks.next);
        [self.deadline, self.meter.as_ref().map(Meter::next), walk].into_iter().flatten().min()
    }

    /// Takes what it is measured with: `/build/src`, `/build/out`, `/proc`, the user namespace.
    fn measure(
        &mut self,
        [src, out, proc, user]: [OwnedFd; 4],
        base: Measured,
    ) -> Result<(), Errno> {
        let place = match &self.spec.scratch {
            Scratch::Memory => Place::Memory,
            Scratch::Directory(dir) | Scratch::Kept(dir) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let dir = open(dir, flags, Mode::empty())?;
                let next = self.started + FIRST_WALK;
                let proc = fcntl_dupfd_cloexec(&proc, 3)?;
                self.walks = Some(Walks { dir, proc, user, now: None, next });
                Place::Disk
            }
        };
        let scratch = (fcntl_dupfd_cloexec(&out, 3)?, place);
        let JailSpec { limits, sample_every, .. } = &self.spec;
        self.meter =
            Some(Meter::new(proc, (scratch, base), limits.clone(), *sample_every, self.started));
        self.dirs = Some(ResultDirs { src, out });
        Ok(())
    }

    /// Starts to measure a scratch on disk, if it is time.
    fn begin_walk(&mut self, now: Instant) {
        if self.walks.as_ref().is_some_and(|walks| walks.now.is_none() && walks.next <= now) {
            self.start_walk(Holders::Live);
        }
    }

    /// Measures a scratch on disk when every process is dead.
    fn measure_at_last(&mut self) {
        self.end_walk();
        self.start_walk(Holders::Dead);
        self.end_walk();
    }

    fn start_walk(&mut self, holders: Holders) {
        let Some(walks) = &mut self.walks else { return };
        let proc = (holders == Holders::Live).then_some(&walks.proc);
        match Walk::start(&walks.dir, proc, &walks.user) {
            Ok(walk) => walks.now = Some(walk),
            Err(_) => self.take_walk(Measured::TOO_MUCH, Duration::ZERO),
        }
    }

    /// Takes what a walk has found.
    fn end_walk(&mut self) {
        if let Some(walk) = self.walks.as_mut().and_then(|walks| walks.now.take()) {
            let (measured, took) = walk.end();
            self.take_walk(measured, took);
        }
    }

    fn take_walk(&mut self, measured: Measured, took: Duration) {
        if let Some(meter) = &mut self.meter {
            meter.walked(measured);
        }
        if let Some(walks) = &mut self.walks {
            walks.next = Instant::now() + WALK_PAUSE.max(took * 20);
        }
    }
}

/// The namespaces that a jail gets when it is made.
fn namespaces(spec: &JailSpec) -> Vec<Namespace> {
    let walls = [
        (Wall::NetNamespace, Namespace::Net),
        (Wall::PidNamespace, Namespace::Pid),
        (Wall::IpcNamespace, Namespace::Ipc),
        (Wall::UtsNamespace, Namespace::Uts),
    ];
    let chosen = walls.into_iter().filter(|(wall, _)| !spec.without.contains(wall));
    [Namespace::User, Namespace::Mount]
        .into_iter()
        .chain(chosen.map(|(_, namespace)| namespace))
        .collect()
}

/// Tells the daemon how a jail ended, once. A limit that it has passed comes before what it says
/// itself.
fn tell(daemon: &OwnedFd, jail: &mut Jail, outcome: Outcome, usage: Usage) -> Result<(), Errno> {
    if std::mem::replace(&mut jail.told, true) {
        return Ok(());
    }
    if jail.killed.is_none() {
        jail.measure_at_last();
    }
    let (usage, passed) = match jail.meter.take() {
        Some(meter) => meter.end(usage, jail.group.as_ref()),
        None => (usage, None),
    };
    let outcome = match (outcome, passed) {
        (outcome @ (Outcome::Killed | Outcome::Exceeded(_) | Outcome::SetupFailed(_)), _)
        | (outcome, None) => outcome,
        (_, Some(limit)) => Outcome::Exceeded(limit),
    };
    let dirs = jail.dirs.take();
    let fds: Vec<_> = dirs.iter().flat_map(|d| [d.src.as_fd(), d.out.as_fd()]).collect();
    let (id, took, copied) = (jail.id, jail.started.elapsed(), jail.copied);
    let message = FromHelper::Finished { id, outcome, usage, took, copied };
    wire::send(daemon, &message, &fds)
}

fn read_spec(file: OwnedFd) -> Result<JailSpec, Errno> {
    seek(&file, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    File::from(file)
        .read_to_end(&mut bytes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    decode_spec(&bytes)
}

/// The spec that these bytes are, if it is one of a jail that can be.
pub(crate) fn decode_spec(bytes: &[u8]) -> Result<JailSpec, Errno> {
    let spec: JailSpec = wire::decode(bytes)?;
    spec.check().map_err(|_| Errno::INVAL)?;
    Ok(spec)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
