//! What a daemon is started with.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_plan::limits::Limits;
use kbs_plan::quantity::{ByteSize, Span};

use crate::engine::memory_b;

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything it keeps.
    pub state_dir: PathBuf,
    /// Where it listens; `None` means `kbsd.sock` in the state directory.
    pub socket: Option<PathBuf>,
    /// Leave after this long without a client or a build.
    pub idle_exit: Option<Duration>,
    /// The program to start as the sandbox helper: one that calls
    /// [`helper_main_if_asked`](crate::helper_main_if_asked) first.
    pub program: PathBuf,
    /// Builds at a time; `None` chooses by the number of CPUs.
    pub max_builds: Option<usize>,
    /// Limits of builds whose spec says nothing.
    pub limits: Limits,
}

impl Config {
    /// A daemon for one state directory, everything else at its default.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            socket: None,
            idle_exit: None,
            program: PathBuf::from("/proc/self/exe"),
            max_builds: None,
            limits: Limits::default(),
        }
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state_dir.join("kbsd.sock"))
    }

    /// Builds at a time: one per four CPUs, for each of them uses all.
    pub(crate) fn builds(&self) -> usize {
        self.max_builds.unwrap_or_else(|| cpus() / 4).max(1)
    }

    /// The limits of a build, every one decided.
    pub(crate) fn decide(&self, asked: Limits) -> Decided {
        let fallback = Limits {
            wall: Some(Span(Duration::from_hours(2))),
            // What fits into memory beside the compilers.
            scratch: Some(ByteSize((memory_b() / 2).clamp(256 << 20, 4 << 30))),
            log: Some(ByteSize(64 << 20)),
            output: Some(ByteSize(1 << 30)),
            open_files: Some(4096),
            jobs: Some(u32::try_from(cpus()).unwrap_or(1)),
        };
        let Limits { wall, scratch, log, output, open_files, jobs } =
            asked.or(&self.limits).or(&fallback);
        Decided {
            wall: wall.map_or(Duration::MAX, |span| span.0),
            scratch_b: scratch.map_or(u64::MAX, |size| size.0),
            log_b: log.map_or(u64::MAX, |size| size.0),
            output_b: output.map_or(u64::MAX, |size| size.0),
            open_files: open_files.unwrap_or(4096),
            jobs: jobs.unwrap_or(1).max(1),
        }
    }
}

/// Limits, every one decided.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub(crate) wall: Duration,
    pub(crate) scratch_b: u64,
    pub(crate) log_b: u64,
    pub(crate) output_b: u64,
    pub(crate) open_files: u64,
    pub(crate) jobs: u32,
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
