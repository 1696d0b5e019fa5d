//! The helper process: starts jails, watches them, tells the daemon how they ended.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
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
};

use crate::{
    JailSpec, Outcome, ResultDirs, SetupFailure, Usage,
    child::{self, Child, Identity},
    filter, probe,
    sys::{
        self,
        clone::{Cloned, Namespace, clone_into},
    },
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
    let asked = std::env::args_os().nth(1);
    let status = match asked.as_ref().and_then(|argument| argument.to_str()) {
        Some(HELPER_ARGUMENT) => match serve() {
            Ok(()) => 0,
            Err(_) => 70,
        },
        Some(PROBE_ARGUMENT) => probe::answer(),
        _ => return,
    };
    std::process::exit(status);
}

/// Serves the connection on standard input until it ends, and then kills every jail.
fn serve() -> Result<(), Errno> {
    if socket_type(stdin())? != SocketType::SEQPACKET {
        return Err(Errno::NOTSOCK);
    }
    let daemon = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    // A terminal's interrupt is for the daemon, which then decides about its jails. It fails only
    // for a process that leads a session already.
    let _leader = setsid();
    sys::process::reset_signals();
    // One helper holds several descriptors for each jail.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;

    let mut server =
        Server { daemon, outside: Identity { uid: geteuid(), gid: getegid() }, jails: Vec::new() };
    // Compiled here, every jail inherits it.
    let _compiled = &*filter::PROGRAM;
    let served = server.serve();
    server.end();
    served
}

struct Server {
    daemon: OwnedFd,
    outside: Identity,
    jails: Vec<Jail>,
}

/// A jail whose first process has not been waited for.
struct Jail {
    id: u64,
    pid: Pid,
    pidfd: OwnedFd,
    /// The connection to the first process, until it ends.
    connection: Option<OwnedFd>,
    started: Instant,
    deadline: Option<Instant>,
    /// Why we killed it, if we did.
    killed: Option<Outcome>,
    dirs: Option<ResultDirs>,
    /// Whether the daemon knows the end.
    told: bool,
}

/// What a poll saw.
#[derive(Default)]
struct Ready {
    daemon: bool,
    connections: Vec<usize>,
    ended: Vec<usize>,
}

impl Server {
    fn serve(&mut self) -> Result<(), Errno> {
        loop {
            let ready = self.wait()?;
            // What a jail said before it ended comes first.
            for index in ready.connections {
                self.hear(index)?;
            }
            for index in ready.ended.into_iter().rev() {
                self.bury(index)?;
            }
            self.enforce_deadlines()?;
            if ready.daemon {
                match wire::receive::<ToHelper>(&self.daemon)? {
                    None => return Ok(()),
                    Some((ToHelper::Run { id }, fds)) => self.start(id, fds)?,
                    Some((ToHelper::Kill { id }, _)) => self.kill(id)?,
                }
            }
        }
    }

    /// Waits until something happens or the next deadline is due.
    fn wait(&self) -> Result<Ready, Errno> {
        let mut polled = vec![PollFd::new(&self.daemon, PollFlags::IN)];
        for jail in &self.jails {
            polled.push(PollFd::new(&jail.pidfd, PollFlags::IN));
            // A closed connection stays in the list, asked for nothing, to keep the order simple.
            polled.push(match &jail.connection {
                Some(connection) => PollFd::new(connection, PollFlags::IN),
                None => PollFd::new(&jail.pidfd, PollFlags::empty()),
            });
        }
        let next =
            self.jails.iter().filter(|jail| !jail.told).filter_map(|jail| jail.deadline).min();
        let timeout = next.map(|deadline| timespec(deadline - Instant::now().min(deadline)));
        match poll(&mut polled, timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(Ready::default()),
            other => other?,
        };
        let mut ready = Ready { daemon: !polled[0].revents().is_empty(), ..Ready::default() };
        for (index, pair) in polled[1..].chunks_exact(2).enumerate() {
            if !pair[0].revents().is_empty() {
                ready.ended.push(index);
            }
            if self.jails[index].connection.is_some() && !pair[1].revents().is_empty() {
                ready.connections.push(index);
            }
        }
        Ok(ready)
    }

    /// Starts a jail, or tells why not.
    fn start(&mut self, id: u64, fds: Vec<OwnedFd>) -> Result<(), Errno> {
        let started = Instant::now();
        let error = match self.try_start(id, fds, started) {
            Ok(jail) => {
                let pid = jail.pid.as_raw_nonzero().get();
                self.jails.push(jail);
                return wire::send(&self.daemon, &FromHelper::Started { id, pid }, &[]);
            }
            Err(error) => error,
        };
        let outcome = Outcome::SetupFailed(error);
        let usage = Usage::default();
        let message = FromHelper::Finished { id, outcome, usage, took: started.elapsed() };
        wire::send(&self.daemon, &message, &[])
    }

    fn try_start(
        &self,
        id: u64,
        fds: Vec<OwnedFd>,
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
        let [spec, log] =
            <[OwnedFd; 2]>::try_from(fds).map_err(|_| failed("take the request")(Errno::BADMSG))?;
        let spec = read_spec(spec).map_err(failed("read the spec"))?;
        let (ours, theirs) = wire::connection().map_err(failed("connect to the jail"))?;
        let cloned = clone_into(&Namespace::ALL).map_err(|errno| SetupFailure {
            help: Some(probe::namespace_fix(errno)),
            ..failed("create the namespaces")(errno)
        })?;
        match cloned {
            Cloned::Child => {
                child::live(Child { spec: &spec, outside: self.outside, log, helper: theirs })
            }
            Cloned::Parent { pid, pidfd } => Ok(Jail {
                id,
                pid,
                pidfd,
                connection: Some(ours),
                started,
                deadline: spec.limits.wall.and_then(|wall| started.checked_add(wall)),
                killed: None,
                dirs: None,
                told: false,
            }),
        }
    }

    /// Takes what a jail's first process says.
    fn hear(&mut self, index: usize) -> Result<(), Errno> {
        let jail = &mut self.jails[index];
        let Some(connection) = &jail.connection else { return Ok(()) };
        match wire::receive(connection) {
            Ok(Some((FromJail::Dirs, fds))) => {
                if let Ok([src, out]) = <[OwnedFd; 2]>::try_from(fds) {
                    jail.dirs = Some(ResultDirs { src, out });
                }
            }
            Ok(Some((FromJail::Over { outcome, usage }, _))) => {
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
        let mut jail = self.jails.swap_remove(index);
        let (signal, usage) = sys::process::reap(jail.pid)?;
        let outcome = jail.killed.take().unwrap_or(Outcome::Lost { signal });
        tell(&self.daemon, &mut jail, outcome, usage)
    }

    fn enforce_deadlines(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        for jail in &mut self.jails {
            if !jail.told && jail.deadline.is_some_and(|deadline| deadline <= now) {
                jail.deadline = None;
                jail.kill(Outcome::TimedOut)?;
            }
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
}

/// Tells the daemon how a jail ended, once.
fn tell(daemon: &OwnedFd, jail: &mut Jail, outcome: Outcome, usage: Usage) -> Result<(), Errno> {
    if std::mem::replace(&mut jail.told, true) {
        return Ok(());
    }
    let dirs = jail.dirs.take();
    let fds: Vec<_> = dirs.iter().flat_map(|d| [d.src.as_fd(), d.out.as_fd()]).collect();
    let message =
        FromHelper::Finished { id: jail.id, outcome, usage, took: jail.started.elapsed() };
    wire::send(daemon, &message, &fds)
}

fn read_spec(file: OwnedFd) -> Result<JailSpec, Errno> {
    seek(&file, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    File::from(file)
        .read_to_end(&mut bytes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    serde_json::from_slice(&bytes).map_err(|_| Errno::BADMSG)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
