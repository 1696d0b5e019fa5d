//! Starting a daemon in the background.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kbs_plan::error::{Class, Help};
use rustix::fs::FlockOperation;
use tokio::time::Instant;

use crate::connect::{ConnectError, Daemon};
use crate::exit::class_of;
use crate::place::SOCKET_NAME;

const LOG_NAME: &str = "kbsd.log";
/// Held by the one client that starts a daemon, until it answers.
const LOCK_NAME: &str = "kbsd.start";

const PATIENCE: Duration = Duration::from_secs(15);
/// How long another daemon may need to answer after ours left, having lost against it.
const GRACE: Duration = Duration::from_millis(500);
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

const TAIL_LINES: usize = 10;
const TAIL_MAX_B: u64 = 16 << 10;

/// How a daemon is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch<'a> {
    /// The program that is the daemon when called with `daemon run`.
    pub(crate) program: &'a Path,
    /// Its state directory, absolute.
    pub(crate) state: &'a Path,
    /// Its configuration file, absolute.
    pub(crate) config: Option<&'a Path>,
    /// When it leaves, whatever its configuration says.
    pub(crate) idle_exit: Option<Duration>,
}

/// No daemon could be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A file of the state directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It left before it answered.
    #[error("the daemon left before it answered{tail}")]
    Left {
        /// What its exit status stands for.
        class: Class,
        /// The last lines it wrote, each after a line break.
        tail: String,
        /// Where the other lines are.
        log: PathBuf,
    },
    /// It runs and does not answer.
    #[error("the daemon did not answer in {} seconds", PATIENCE.as_secs())]
    Silent {
        /// Where it says why.
        log: PathBuf,
    },
    /// Its socket cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Help for StartError {
    fn class(&self) -> Class {
        match self {
            Self::Left { class, .. } => *class,
            Self::File { .. } | Self::Silent { .. } => Class::Environment,
            Self::Connect(error) => error.class(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File { .. } => Some("choose another state directory with --state DIR".to_owned()),
            Self::Left { log, .. } | Self::Silent { log } => {
                Some(format!("read {} for more", log.display()))
            }
            Self::Connect(error) => error.help(),
        }
    }
}

/// Starts a daemon and waits until it answers; one that another client starts at the same time is
/// as good.
///
/// # Errors
/// [`StartError`]; a daemon that left is told with its last lines.
pub(crate) async fn start(launch: &Launch<'_>) -> Result<Daemon, StartError> {
    let Launch { state, .. } = *launch;
    let socket = state.join(SOCKET_NAME);
    let log = state.join(LOG_NAME);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(on("create the state directory", state))?;
    let mut pauses = Pauses::until(Instant::now() + PATIENCE);

    let lock_path = state.join(LOCK_NAME);
    let lock = private().create(true).append(true).open(&lock_path);
    let lock = lock.map_err(on("open", &lock_path))?;
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(on("lock", &lock_path)(error.into()));
        }
        if let Some(daemon) = Daemon::at(&socket).await? {
            return Ok(daemon);
        }
        if !pauses.pause().await {
            return Err(StartError::Silent { log });
        }
    }
    if let Some(daemon) = Daemon::at(&socket).await? {
        return Ok(daemon);
    }

    let mut log_file =
        private().create(true).read(true).append(true).open(&log).map_err(on("open", &log))?;
    let log_start = log_file.seek(SeekFrom::End(0)).map_err(on("read", &log))?;
    let mut child = spawn(launch, &log_file)?;
    let mut left = None;
    loop {
        if let Some(mut daemon) = Daemon::at(&socket).await? {
            daemon.is_new = left.is_none();
            return Ok(daemon);
        }
        if left.is_none() {
            left = child.try_wait().map_err(on("wait for", launch.program))?;
            if left.is_some() {
                pauses = Pauses::until(Instant::now() + GRACE);
            }
        }
        if !pauses.pause().await {
            break;
        }
    }
    Err(match left {
        Some(status) => StartError::Left {
            class: class_of(status.code()),
            tail: tail(&mut log_file, log_start),
            log,
        },
        None => StartError::Silent { log },
    })
}

/// Has the C library give memory back that a large job needed: a daemon mostly waits.
const SMALL: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

fn spawn(launch: &Launch<'_>, log: &File) -> Result<Child, StartError> {
    let Launch { program, state, config, idle_exit } = *launch;
    let log = log.try_clone().map_err(on("open the log of", program))?;
    let mut command = Command::new(program);
    command.args(["daemon", "run", "--detached", "--state"]).arg(state);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    if let Some(idle) = idle_exit {
        command.arg("--idle-exit").arg(idle.as_secs().to_string());
    }
    command
        // Where it listens is said above, whatever this client's environment prefers.
        .env_remove("KBS_SOCKET")
        .envs(SMALL)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(on("start", program))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn on<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> StartError + 'a {
    move |source| StartError::File { action, path: path.to_owned(), source }
}

/// The last lines written from `start` on, each after a line break; empty where none can be read.
fn tail(log: &mut File, start: u64) -> String {
    let mut bytes = Vec::new();
    let end = log.seek(SeekFrom::End(0)).unwrap_or(start);
    let read = log
        .seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL_MAX_B))))
        .and_then(|_| log.take(TAIL_MAX_B).read_to_end(&mut bytes));
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().flat_map(|line| ["\n", line]).collect()
}

/// Growing pauses up to a deadline.
struct Pauses {
    next: Duration,
    deadline: Instant,
}

impl Pauses {
    fn until(deadline: Instant) -> Self {
        Self { next: PAUSE_MIN, deadline }
    }

    /// Pauses, or says that time is up.
    async fn pause(&mut self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSE_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/daemon.sh");

    fn started(state: &Path) -> Result<Daemon, StartError> {
        let idle_exit = Some(Duration::from_mins(10));
        let config = Some(Path::new("/kbsd.toml"));
        let launch = Launch { program: Path::new(PROGRAM), state, config, idle_exit };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(start(&launch))
    }

    #[test]
    fn a_daemon_that_leaves_is_told_with_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("refuse"), "").unwrap();
        std::fs::write(dir.path().join(LOG_NAME), "of an earlier one\n").unwrap();
        let error = started(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "the daemon left before it answered\nerror: no room");
        assert_eq!(error.class(), Class::User);
    }

    #[test]
    fn clients_at_the_same_time_start_one_daemon_and_all_reach_it() {
        let dir = tempfile::tempdir().unwrap();
        let asked = || std::fs::read_to_string(dir.path().join("asked")).unwrap_or_default();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| started(dir.path()))).collect();
            while asked().is_empty() {
                std::thread::yield_now();
            }
            let listener = UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
            let daemons: Vec<_> =
                clients.into_iter().map(|client| client.join().unwrap().unwrap()).collect();
            assert_eq!(daemons.iter().filter(|daemon| daemon.is_new).count(), 1);
            drop(listener);
        });
        std::fs::write(dir.path().join("leave"), "").unwrap();
        let state = dir.path().display();
        let options = format!("--state {state} --config /kbsd.toml --idle-exit 600");
        assert_eq!(asked(), format!("daemon run --detached {options}\n"));
    }
}
