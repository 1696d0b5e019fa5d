//! What a daemon is started with.

mod file;
mod read;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_plan::limits::{Excess, JOBS_MAX, Limits};
use kbs_plan::quantity::{ByteSize, Span};
use kbs_sandbox::{Layer, Limits as JailLimits, Need, Wall};

pub use read::ConfigError;

use rustix::process::{Resource, getrlimit};

use crate::engine::memory_b;
use crate::problem::EngineError;

/// How often a build's usage is told and stored, where nothing else is said.
const SAMPLE: Duration = Duration::from_secs(3);

/// What has to be free on the file system, where nothing else is said.
const MIN_FREE_B: u64 = 1 << 30;

/// What is collected when nobody says what, and when a collection begins by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// Above this many bytes the least recently used goes.
    pub max_size_b: Option<u64>,
    /// What was not used for so long goes.
    pub older_than: Option<Duration>,
    /// So many of each project's newest outputs stay.
    pub keep: u32,
    /// Below this many free bytes the least recently used goes; 0 lets it stay.
    pub min_free_b: u64,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { max_size_b: None, older_than: None, keep: 0, min_free_b: MIN_FREE_B }
    }
}

/// Which index of the store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The one that is there.
    AsItIs,
    /// One made again from the files.
    Anew,
}

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
    /// How often a build's usage is told and stored.
    pub sample: Duration,
    /// Limits of builds whose spec says nothing.
    pub limits: Limits,
    /// What a spec may ask for at most.
    pub ceiling: Limits,
    /// Layers of the sandbox without which builds are refused.
    pub require: BTreeSet<Wall>,
    /// What is collected when nobody says what.
    pub upkeep: Upkeep,
    /// Which index is opened.
    pub index: Index,
    /// The file that some of this was read from, absolute.
    pub file: Option<PathBuf>,
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
            sample: SAMPLE,
            limits: Limits::default(),
            ceiling: Limits::default(),
            require: Wall::OPTIONAL.into(),
            upkeep: Upkeep::default(),
            index: Index::AsItIs,
            file: None,
        }
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state_dir.join("kbsd.sock"))
    }

    /// Whether builds are refused without this layer.
    pub(crate) fn is_required(&self, layer: &Layer) -> bool {
        layer.need == Need::Always && layer.wall.is_none_or(|wall| self.require.contains(&wall))
    }

    /// Builds at a time: one per four CPUs, for each of them uses all.
    pub(crate) fn builds(&self) -> usize {
        self.max_builds.unwrap_or_else(|| cpus() / 4).max(1)
    }

    /// The limits of a build, every one decided.
    ///
    /// # Errors
    /// [`EngineError::Request`] where more is asked for than the ceiling allows, or what no build
    /// can run with. What nobody asked for is lowered to the ceiling instead.
    pub(crate) fn decide(&self, asked: &Limits) -> Result<Decided, EngineError> {
        let unusable = asked.unusable("limits");
        if !unusable.is_empty() {
            let help = Some("correct it, or leave it to the daemon's configuration".to_owned());
            return Err(EngineError::Request { text: unusable.join("; "), help });
        }
        let above = asked.above(&self.ceiling);
        if !above.is_empty() {
            return Err(self.refusal(&above));
        }
        let limits = asked.clone().or(&self.limits).or(&fallback()).at_most(&self.ceiling);
        let Limits {
            wall,
            memory,
            pids,
            scratch,
            scratch_files,
            log,
            output,
            output_files,
            open_files,
            jobs,
        } = limits;
        Ok(Decided {
            wall: wall.map_or(Duration::MAX, |span| span.0),
            memory_b: memory.map_or(u64::MAX, |size| size.0),
            pids: pids.unwrap_or(u64::MAX),
            scratch_b: scratch.map_or(u64::MAX, |size| size.0),
            scratch_files: scratch_files.unwrap_or(u64::MAX),
            log_b: log.map_or(u64::MAX, |size| size.0),
            output_b: output.map_or(u64::MAX, |size| size.0),
            output_files: output_files.unwrap_or(u64::MAX),
            open_files: open_files.unwrap_or(u64::MAX).min(most_open_files()),
            jobs: jobs.unwrap_or(1),
        })
    }

    fn refusal(&self, above: &[Excess]) -> EngineError {
        let told: Vec<_> = above
            .iter()
            .map(|Excess { key, asked, most }| {
                format!("limits.{key} asks for {asked}, and this daemon allows {most}")
            })
            .collect();
        let keys: Vec<_> = above.iter().map(|excess| format!("ceiling.{}", excess.key)).collect();
        let file = self.file.as_deref().unwrap_or(Path::new("its configuration"));
        let keys = keys.join(", ");
        let help = format!("ask for less, or have {keys} raised in {}", file.display());
        EngineError::Request { text: told.join("; "), help: Some(help) }
    }
}

/// Limits where neither the spec nor the configuration says any.
fn fallback() -> Limits {
    let memory_b = memory_b();
    Limits {
        wall: Some(Span(Duration::from_hours(2))),
        // What is left is for the daemon and whoever else is on the machine.
        memory: Some(ByteSize(memory_b / 8 * 7)),
        pids: Some(8192),
        // What fits into memory beside the compilers.
        scratch: Some(ByteSize((memory_b / 2).clamp(256 << 20, 4 << 30))),
        scratch_files: Some(500_000),
        log: Some(ByteSize(64 << 20)),
        output: Some(ByteSize(1 << 30)),
        output_files: Some(10_000),
        open_files: Some(4096),
        jobs: Some(u32::try_from(cpus()).unwrap_or(1).min(JOBS_MAX)),
    }
}

/// Limits, every one decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) wall: Duration,
    pub(crate) memory_b: u64,
    pub(crate) pids: u64,
    pub(crate) scratch_b: u64,
    pub(crate) scratch_files: u64,
    pub(crate) log_b: u64,
    pub(crate) output_b: u64,
    pub(crate) output_files: u64,
    pub(crate) open_files: u64,
    pub(crate) jobs: u32,
}

impl Decided {
    /// What of it a jail is told.
    pub(crate) fn of_jail(&self) -> JailLimits {
        JailLimits {
            wall: Some(self.wall),
            scratch_b: self.scratch_b,
            scratch_files: self.scratch_files,
            open_files: self.open_files,
            pids: Some(self.pids),
            memory_b: Some(self.memory_b),
        }
    }
}

/// Half of what the daemon itself may have: descriptors that builds have in flight count against it,
/// too, and they have as many as they may open.
fn most_open_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.map_or(u64::MAX, |most| most / 2)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    use kbs_plan::error::{Class, Help as _};

    fn config(limits: Limits, ceiling: Limits) -> Config {
        Config { limits, ceiling, ..Config::new(Path::new("/nonexistent")) }
    }

    fn pids(pids: u64) -> Limits {
        Limits { pids: Some(pids), ..Limits::default() }
    }

    #[test]
    fn a_spec_comes_before_the_configuration_and_that_before_the_defaults() {
        let none = Limits::default();
        let decide = |limits: Limits, asked: &Limits| {
            config(limits, Limits::default()).decide(asked).unwrap().pids
        };
        assert_eq!(decide(pids(20), &pids(10)), 10);
        assert_eq!(decide(pids(10), &pids(20)), 20);
        assert_eq!(decide(pids(10), &none), 10);
        assert_eq!(decide(none.clone(), &none), 8192);
    }

    #[test]
    fn every_limit_is_decided() {
        let decided = config(Limits::default(), Limits::default()).decide(&Limits::default());
        let decided = decided.unwrap();
        assert_eq!(decided.scratch_files, 500_000);
        assert_eq!(decided.output_files, 10_000);
        assert_eq!(decided.memory_b, memory_b() / 8 * 7);
        let numbers = [decided.scratch_b, decided.log_b, decided.output_b, decided.open_files];
        assert!(!numbers.contains(&u64::MAX) && decided.wall < Duration::MAX);
    }

    #[test]
    fn a_default_above_the_ceiling_is_lowered_to_it() {
        for limits in [Limits::default(), pids(9000)] {
            assert_eq!(config(limits, pids(7)).decide(&Limits::default()).unwrap().pids, 7);
        }
        assert_eq!(config(pids(5), pids(7)).decide(&Limits::default()).unwrap().pids, 5);
    }

    #[test]
    fn asking_for_what_no_build_runs_with_is_refused_by_name() {
        let asked = Limits { jobs: Some(70_000), ..pids(0) };
        let error = config(Limits::default(), Limits::default()).decide(&asked).unwrap_err();
        assert_eq!(error.class(), Class::User);
        assert_eq!(
            error.to_string(),
            "limits.pids is 0, which lets no build run; \
             limits.jobs is 70000, and make is never given more than 4096"
        );
    }

    #[test]
    fn asking_for_more_than_the_ceiling_is_refused_with_both_values() {
        let mut config = config(Limits::default(), pids(7));
        assert_eq!(config.decide(&pids(7)).unwrap().pids, 7);
        config.ceiling.wall = Some(Span(Duration::from_hours(6)));
        config.file = Some("/k.toml".into());
        let wall = Some(Span(Duration::from_hours(8)));
        let error = config.decide(&Limits { wall, ..pids(9) }).unwrap_err();
        assert_eq!(error.class(), Class::User);
        assert_eq!(
            error.to_string(),
            "limits.wall asks for 8h, and this daemon allows 6h; \
             limits.pids asks for 9, and this daemon allows 7"
        );
        let help = error.help().unwrap();
        assert_eq!(help, "ask for less, or have ceiling.wall, ceiling.pids raised in /k.toml");
    }
}
