//! The engine: everything a service may ask for.
//!
//! Sync. Every request runs on a thread of its own, which may block; what is shared is behind the
//! locks of [`locks`] and [`flight`].

pub(crate) mod collecting;
pub(crate) mod flight;
pub(crate) mod kconfigs;
pub(crate) mod locks;
pub(crate) mod outcome;
pub(crate) mod tasks;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kbs_image::{ImageInfo, Images};
use kbs_plan::id::{BuildKey, ConfigureKey};
use kbs_plan::tree::Tree;
use kbs_sandbox::{
    Cgroup, Console, Helper, JailSpec, Job, NoCgroup, Report, Sample, SandboxError, Scratch,
    SetupFailure, State, Wall,
};
use kbs_source::{CommitId, Mirror, PathPatterns, ProjectName, Selection, Submodules};
use kbs_store::{Ending, OutputRow, Store, Thing};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Index};
use crate::problem::{EngineError, Problem};
use crate::stages::image;
use collecting::Collecting;
use flight::Flights;
use kconfigs::Kconfigs;
use locks::{PerKey, Slots};
use watch::Requests;

/// The engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) images: Images,
    pub(crate) flights: Flights,
    pub(crate) slots: Slots,
    pub(crate) requests: Requests,
    pub(crate) syncing: PerKey<ProjectName>,
    pub(crate) configuring: PerKey<ConfigureKey>,
    pub(crate) kconfigs: Kconfigs,
    pub(crate) importing: PerKey<String>,
    pub(crate) ingesting: PerKey<[u8; 32]>,
    pub(crate) collecting: Collecting,
    host: OnceLock<Report>,
    /// Memory of this machine in bytes.
    memory_b: u64,
    selections: Mutex<BTreeMap<(CommitId, String, bool), Arc<Selection>>>,
    /// Where jails get control groups, or why they get none.
    pub(crate) cgroup: Result<Cgroup, NoCgroup>,
    helper: Mutex<Arc<Helper>>,
    activity: Activity,
    stopping: AtomicBool,
    started: Instant,
}

impl Engine {
    /// Opens the state directory.
    ///
    /// The helper starts first: while this process is still small, and before it holds anything
    /// that a child should not.
    ///
    /// # Errors
    /// Whatever keeps the state directory from being used.
    pub(crate) fn open(config: Config) -> Result<Self, Problem> {
        raise_open_files();
        let cgroup = Cgroup::prepare();
        let helper = start_helper(&config.program, cgroup.as_ref().ok())?;
        let store = match config.index {
            Index::AsItIs => Store::open(&config.state_dir)?,
            Index::Anew => Store::open_rebuilt(&config.state_dir)?,
        };
        let mirror = Mirror::open_or_init(&store.paths().git())?;
        let images = Images::new(store.paths().images(), store.paths().scratch());
        for ImageInfo { digest, .. } in images.list()? {
            if let Err(problem) = image::adopt_found(&store, &images, &digest) {
                tracing::warn!(%digest, %problem, "an image is left out");
            }
        }
        Ok(Self {
            slots: Slots::new(config.builds()),
            store,
            mirror,
            images,
            flights: Flights::default(),
            requests: Requests::default(),
            syncing: PerKey::default(),
            configuring: PerKey::default(),
            kconfigs: Kconfigs::default(),
            importing: PerKey::default(),
            ingesting: PerKey::default(),
            collecting: Collecting::default(),
            host: OnceLock::new(),
            memory_b: memory_b(),
            selections: Mutex::default(),
            cgroup,
            helper: Mutex::new(helper),
            activity: Activity::default(),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            config,
        })
    }

    /// Starts a jail; a helper that is gone is started again, once. `console` is asked for each try.
    pub(crate) fn start_jail(
        &self,
        spec: &JailSpec,
        console: &dyn Fn() -> std::io::Result<Console>,
        samples: impl Fn(Sample) + Send + Clone + 'static,
    ) -> Result<Arc<Job>, Problem> {
        let copy = || {
            console().map_err(|source| EngineError::Sandbox { source: SandboxError::Send(source) })
        };
        let current = || self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        let helper = Arc::clone(&current());
        match helper.run(spec, copy()?, samples.clone()) {
            Err(SandboxError::HelperGone) => {}
            // Sending to one that is gone; any other error is this request's, not the helper's.
            Err(SandboxError::Send(error)) if error.kind() == ErrorKind::BrokenPipe => {}
            started => {
                return Ok(Arc::new(started.map_err(|source| EngineError::Sandbox { source })?));
            }
        }
        // One of those who find it gone starts another; dropping that one would kill their jails.
        let fresh = {
            let mut current = current();
            if Arc::ptr_eq(&current, &helper) {
                *current = start_helper(&self.config.program, self.cgroup.as_ref().ok())?;
            }
            Arc::clone(&current)
        };
        let job = fresh.run(spec, copy()?, samples);
        Ok(Arc::new(job.map_err(|source| EngineError::Sandbox { source })?))
    }

    /// What `paths` select of a commit; asked for again and again, so the latest answers are kept.
    pub(crate) fn select(
        &self,
        commit: CommitId,
        paths: &[String],
        submodules: Submodules,
    ) -> Result<Arc<Selection>, Problem> {
        const KEPT: usize = 16;
        let key = (commit, paths.join("\0"), submodules == Submodules::Include);
        let kept = || self.selections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(selection) = kept().get(&key) {
            return Ok(Arc::clone(selection));
        }
        let selection = self.mirror.select(commit, &PathPatterns::new(paths)?, submodules)?;
        let selection = Arc::new(selection);
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&selection));
        Ok(selection)
    }

    /// Passes on a stored log from `offset` until `send` says that nobody reads it any more; returns
    /// whether there is one.
    pub(crate) fn send_log(
        &self,
        key: BuildKey,
        ending: Ending,
        mut offset: u64,
        send: &mut dyn FnMut(u64, Vec<u8>) -> bool,
    ) -> Result<bool, Problem> {
        let Some(mut log) = self.store.read_log(key, ending, offset)? else { return Ok(false) };
        let mut chunk = vec![0; 256 << 10];
        loop {
            let read = log.read(&mut chunk).map_err(|source| EngineError::Host {
                action: "read the log of",
                path: key.to_string().into(),
                source,
            })?;
            if read == 0 || !send(offset, chunk[..read].to_vec()) {
                return Ok(true);
            }
            offset += read as u64;
        }
    }

    /// Notes that something is used now. Nobody's request fails for that.
    pub(crate) fn touch(&self, thing: Thing) {
        if let Err(error) = self.store.touch(thing, now_unix_s()) {
            tracing::warn!(%thing, %error, "a last use is not recorded");
        }
    }

    /// The files of an output.
    pub(crate) fn tree(&self, row: &OutputRow) -> Result<Tree, Problem> {
        Ok(self.store.tree(row)?)
    }

    /// What this host gives to jails.
    pub(crate) fn host(&self) -> Result<&Report, Problem> {
        if let Some(report) = self.host.get() {
            return Ok(report);
        }
        let report = self.probe()?;
        Ok(self.host.get_or_init(|| report))
    }

    /// What this host gives to jails now.
    pub(crate) fn probe(&self) -> Result<Report, EngineError> {
        kbs_sandbox::probe(&self.config.program).map_err(|source| EngineError::Sandbox { source })
    }

    /// The walls that jails here do without: what the kernel lacks and the operator does not
    /// require. What it lacks and is required refuses the jail.
    pub(crate) fn without(&self) -> Result<BTreeSet<Wall>, Problem> {
        let missing = self.host()?.missing_walls();
        Ok(missing.difference(&self.config.require).copied().collect())
    }

    /// That the kernel refused a jail, with what this host lacks now of what is required.
    pub(crate) fn refused(&self, failure: SetupFailure) -> EngineError {
        let layers = self.probe().map(|report| report.layers).unwrap_or_default();
        let missing = layers.into_iter().filter(|layer| layer.state == State::Missing);
        let missing = missing.filter(|layer| self.config.is_required(layer)).collect();
        EngineError::Refused { failure, missing }
    }

    /// Where a jail may write `size_b` bytes: in memory where the kernel and the machine can, else in
    /// a directory that goes when the guard does.
    pub(crate) fn scratch(&self, size_b: u64) -> Result<ScratchRoom, Problem> {
        if self.host()?.memory_scratch() && size_b <= self.memory_b / 2 {
            return Ok(ScratchRoom { scratch: Scratch::Memory, dir: None });
        }
        let scratch = self.store.paths().scratch();
        let dir = tempfile::Builder::new().prefix("jail-").tempdir_in(&scratch);
        let dir = dir
            .map_err(|source| EngineError::Host { action: "prepare", path: scratch, source })?
            .keep();
        Ok(ScratchRoom { scratch: Scratch::Directory(dir.clone()), dir: Some(dir) })
    }

    /// Bytes that are free where the state directory is; everything where that cannot be told.
    pub(crate) fn free_b(&self) -> u64 {
        free_b(self.store.paths().root()).unwrap_or(u64::MAX)
    }

    /// Refuses new work while the daemon leaves.
    pub(crate) fn check_open(&self) -> Result<(), Problem> {
        if self.stopping.load(Ordering::SeqCst) {
            Err(EngineError::Stopping.into())
        } else {
            Ok(())
        }
    }

    /// Takes no new work from now on; with `Urgency::Now` running builds are stopped, too.
    pub(crate) fn stop(&self, urgency: Urgency) {
        self.stopping.store(true, Ordering::SeqCst);
        if urgency == Urgency::Now {
            self.flights.abandon_all();
            self.requests.withdraw_all();
            self.wake();
        }
    }

    /// Has everybody who waits look again at whether anybody waits for them.
    pub(crate) fn wake(&self) {
        self.flights.wake();
        self.slots.wake();
    }

    /// Counts a request as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Present {
        self.activity.present.fetch_add(1, Ordering::SeqCst);
        Present(Arc::clone(self))
    }

    /// Number of requests under way.
    pub(crate) fn present(&self) -> usize {
        self.activity.present.load(Ordering::SeqCst)
    }

    /// How long nobody has asked for anything and nothing is being built.
    pub(crate) fn idle_for(&self) -> Duration {
        if self.present() > 0 || self.flights.len() > 0 {
            return Duration::ZERO;
        }
        let last = *self.activity.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.unwrap_or(self.started).elapsed()
    }

    /// How long the engine has been open.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Where a jail writes.
#[derive(Debug)]
pub(crate) struct ScratchRoom {
    /// For the jail's description.
    pub(crate) scratch: Scratch,
    dir: Option<PathBuf>,
}

impl Drop for ScratchRoom {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take()
            && let Err(error) = kbs_sandbox::remove_scratch(&dir)
        {
            tracing::warn!(%error, dir = %dir.display(), "cannot remove the scratch of a jail");
        }
    }
}

/// How fast to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// When running builds have ended.
    WhenDone,
    /// At once; running builds are stopped.
    Now,
}

#[derive(Debug, Default)]
struct Activity {
    present: AtomicUsize,
    last: Mutex<Option<Instant>>,
}

/// Counts a request while it lives.
#[derive(Debug)]
pub(crate) struct Present(Arc<Engine>);

impl Drop for Present {
    fn drop(&mut self) {
        *self.0.activity.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.activity.present.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Allows this process as many open files as it may have. It needs some for each jail; and how many
/// descriptors builds have in flight between their processes counts against it, for they may run as
/// the same user.
fn raise_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn start_helper(program: &Path, cgroup: Option<&Cgroup>) -> Result<Arc<Helper>, EngineError> {
    Helper::start(program, cgroup).map(Arc::new).map_err(|source| EngineError::Sandbox { source })
}

/// Memory of this machine in bytes.
pub(crate) fn memory_b() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// Seconds since 1970, for records that people read; never for keys.
pub(crate) fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Bytes that are free on the file system of `dir`, `None` where that cannot be told.
pub(crate) fn free_b(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
