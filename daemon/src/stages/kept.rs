//! Work trees of failed builds: kept where that is asked, and gone on with in a shell.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kbs_image::ImageDigest;
use kbs_plan::id::BuildKey;
use kbs_sandbox::{JailPath, JailSpec, Scratch};
use kbs_store::{Lease, Thing};
use serde::{Deserialize, Serialize};

use super::build::Order;
use super::image::{self, Toolchain};
use crate::contract;
use crate::engine::Engine;
use crate::problem::{EngineError, Problem};

/// The file that says what the tree beside it needs; who goes on in the tree holds it locked.
const RECORD: &str = "jail.json";
/// The scratch of the build.
const TREE: &str = "tree";

/// How often, and how far apart, a tree is tried for at which a collection may just be looking.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(10);

/// Content of [`RECORD`].
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    project: String,
    toolchain: String,
    jail: JailSpec,
}

/// The work tree of a running build: kept if the build fails, removed otherwise.
#[derive(Debug)]
pub(crate) struct Keepable {
    dir: PathBuf,
    all: PathBuf,
}

impl Keepable {
    /// Makes the directory, which is litter until it is kept.
    pub(crate) fn new(engine: &Engine) -> Result<Self, EngineError> {
        let paths = engine.store.paths();
        let make = || {
            let dir = tempfile::Builder::new().prefix("keep-").tempdir_in(paths.scratch())?.keep();
            fs::create_dir(dir.join(TREE)).map(|()| dir)
        };
        let dir = make().map_err(|source| EngineError::Host {
            action: "prepare a work tree in",
            path: paths.scratch(),
            source,
        })?;
        Ok(Self { dir, all: directory(engine) })
    }

    /// Where the build writes.
    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join(TREE)
    }

    /// Keeps it for the person, who is told where it is.
    pub(crate) fn keep(self, engine: &Engine, order: &Order, jail: &JailSpec) -> Option<PathBuf> {
        let record = Record {
            project: order.derivation.project.clone(),
            toolchain: order.toolchain.digest.to_string(),
            jail: jail.clone(),
        };
        let keep = || {
            fs::write(self.dir.join(RECORD), serde_json::to_vec_pretty(&record)?)?;
            fs::create_dir_all(&self.all)?;
            let place =
                tempfile::Builder::new().prefix(&prefix(order.key)).tempdir_in(&self.all)?;
            // Takes the place of that empty directory: what is kept is whole or not there.
            fs::rename(&self.dir, place.path())?;
            // A collection that has looked for work trees already knows nothing of this one.
            engine.collecting.hold_for_kept(needs(&record).map(|thing| engine.store.lease(thing)));
            Ok::<_, io::Error>(place.keep().join(TREE))
        };
        keep().inspect_err(|error| tracing::warn!(%error, "cannot keep a work tree")).ok()
    }
}

impl Drop for Keepable {
    fn drop(&mut self) {
        if let Err(error) = kbs_sandbox::remove_scratch(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot remove a work tree");
        }
    }
}

/// A kept work tree, in use by nobody else as long as this lives.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) project: String,
    /// The build's jail, to go on where it ended.
    pub(crate) jail: JailSpec,
    pub(crate) tree: PathBuf,
    _toolchain: Toolchain,
    _layers: Vec<Lease>,
    _lock: File,
}

impl Kept {
    /// Finds the newest one of `key`, and all that it needs.
    pub(crate) fn open(engine: &Engine, key: BuildKey) -> Result<Self, Problem> {
        let Some(dir) = newest(&directory(engine), key) else {
            return Err(gone(format!("no work tree of {key} is kept")).into());
        };
        let path = dir.join(RECORD);
        let host = |source| EngineError::Host { action: "read", path: path.clone(), source };
        let mut lock = File::open(&path).map_err(host)?;
        match patiently_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("a shell is open in the work tree {}", dir.display());
                let help = Some("leave that shell first".to_owned());
                return Err(EngineError::Request { text, help }.into());
            }
            Err(TryLockError::Error(error)) => return Err(host(error).into()),
        }
        if !is_still(&lock, &path) {
            return Err(gone(format!("the work tree of {key} was just collected")).into());
        }
        // Who goes on in a tree uses it.
        if let Err(error) = lock.set_modified(SystemTime::now()) {
            tracing::warn!(%error, path = %path.display(), "the use of a work tree is not noted");
        }
        let mut bytes = Vec::new();
        lock.read_to_end(&mut bytes).map_err(host)?;
        let Record { project, toolchain, mut jail } =
            serde_json::from_slice(&bytes).map_err(|error| host(error.into()))?;
        let toolchain =
            image::hold(engine, toolchain.parse::<ImageDigest>()?).ok_or_else(|| {
                gone(format!(
                    "the toolchain image {toolchain} of this work tree is not here any more"
                ))
            })?;
        jail.root.clone_from(&toolchain.rootfs);
        let layers = jail.source.iter().filter_map(|source| Thing::of_layer(source));
        let layers = layers.map(|layer| engine.store.lease(layer)).collect();
        if let Some(source) = jail.source.iter().find(|source| !source.is_dir()) {
            let source = source.display();
            return Err(gone(format!("the source of this work tree, {source}, is gone")).into());
        }
        let tree = dir.join(TREE);
        go_on(&mut jail, &tree);
        Ok(Self { project, jail, tree, _toolchain: toolchain, _layers: layers, _lock: lock })
    }
}

/// A kept work tree, as a collection sees it.
#[derive(Debug)]
pub(crate) struct Resting {
    /// The name of its directory.
    pub(crate) name: String,
    pub(crate) project: String,
    pub(crate) size_b: u64,
    pub(crate) created_unix_s: u64,
    pub(crate) last_use_unix_s: u64,
    /// Its image and its sources.
    pub(crate) needs: Vec<Thing>,
    /// Somebody goes on in it.
    pub(crate) is_in_use: bool,
}

/// Every kept work tree.
pub(crate) fn all(engine: &Engine) -> Result<Vec<Resting>, Problem> {
    let resting = |(name, dir): (String, PathBuf)| {
        let (lock, record) = look(&dir)?;
        let is_in_use = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        // Only to see: whoever comes now may have it.
        drop(lock.unlock());
        let since = |facts: io::Result<fs::Metadata>| {
            facts.map_or(0, |facts| u64::try_from(facts.mtime()).unwrap_or(0))
        };
        Some(Resting {
            name,
            size_b: size_b(&dir),
            created_unix_s: since(fs::metadata(&dir)),
            last_use_unix_s: since(lock.metadata()),
            needs: record.iter().flat_map(needs).collect(),
            project: record.map(|record| record.project).unwrap_or_default(),
            is_in_use,
        })
    };
    Ok(directories(engine)?.into_iter().filter_map(resting).collect())
}

/// Holds the images and the sources of all work trees that are kept by now. Those of trees that come
/// later are held by themselves until this is asked again.
pub(crate) fn hold_needs(engine: &Engine) -> Result<Vec<Lease>, Problem> {
    engine.collecting.let_go_of_kept();
    let trees = directories(engine)?.into_iter().filter_map(|(_, dir)| look(&dir)?.1);
    let lease = |thing| engine.store.lease(thing);
    Ok(trees.flat_map(|record| needs(&record).map(lease).collect::<Vec<_>>()).collect())
}

/// The directories of kept work trees, by name.
fn directories(engine: &Engine) -> Result<Vec<(String, PathBuf)>, Problem> {
    let all = directory(engine);
    let host = |source| EngineError::Host { action: "list", path: all.clone(), source };
    let entries = match fs::read_dir(&all) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(host)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(host)?;
        found.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(found)
}

/// The record in a work tree's directory, open, and what it says if that can be read; `None` where
/// there is none.
fn look(dir: &Path) -> Option<(File, Option<Record>)> {
    let mut file = File::open(dir.join(RECORD)).ok()?;
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes).ok();
    Some((file, read.and_then(|_| serde_json::from_slice(&bytes).ok())))
}

/// Removes a kept work tree; says whether it could, for somebody may go on in it.
pub(crate) fn remove(engine: &Engine, name: &str) -> Result<bool, Problem> {
    let dir = directory(engine).join(name);
    let scratch = engine.store.paths().scratch();
    let Ok(lock) = File::open(dir.join(RECORD)) else { return Ok(false) };
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    let aside = || {
        let place = tempfile::Builder::new().prefix("kept-").tempdir_in(&scratch)?.keep();
        fs::rename(&dir, &place)?;
        kbs_sandbox::remove_scratch(&place)
    };
    aside().map_err(|source| EngineError::Host { action: "remove", path: dir.clone(), source })?;
    Ok(true)
}

/// Removes what a kill has left where work trees are kept: directories that were to become one.
pub(crate) fn sweep(engine: &Engine) -> u64 {
    let entries = fs::read_dir(directory(engine)).into_iter().flatten().flatten();
    // Only an empty one can be removed so, and nobody minds: it would have been replaced.
    entries.filter(|entry| fs::remove_dir(entry.path()).is_ok()).count() as u64
}

/// The image and the sources of a work tree.
fn needs(record: &Record) -> impl Iterator<Item = Thing> {
    let image = record.toolchain.parse::<ImageDigest>().ok();
    let image = image.map(|digest| Thing::Image(*digest.as_bytes()));
    image.into_iter().chain(record.jail.source.iter().filter_map(|dir| Thing::of_layer(dir)))
}

/// Bytes of all files below a directory, as far as one can look.
fn size_b(dir: &Path) -> u64 {
    let (mut sum_b, mut ahead) = (0, vec![dir.to_owned()]);
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(facts) if facts.is_dir() => ahead.push(entry.path()),
                Ok(facts) => sum_b += facts.blocks() * 512,
                Err(_) => {}
            }
        }
    }
    sum_b
}

/// Whether a path still names the file that was opened by it.
fn is_still(file: &File, path: &Path) -> bool {
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(a, b)| same(a, b))
}

/// Locks a file unless somebody means to have it for longer than a look takes.
fn patiently_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS {
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    file.try_lock()
}

/// Makes of a build's jail one that goes on in the tree it left.
fn go_on(jail: &mut JailSpec, tree: &Path) {
    jail.scratch = Scratch::Kept(tree.to_owned());
    // The others are in the tree, as the build left them.
    let tools = JailPath::new(contract::TOOLS).expect("a plain path");
    jail.files.retain(|file| file.path.is_within(&tools));
    // The tree itself may hold all that the build was allowed.
    let limits = &mut jail.limits;
    limits.scratch_b = limits.scratch_b.saturating_mul(2);
    limits.scratch_files = limits.scratch_files.saturating_mul(2);
}

fn directory(engine: &Engine) -> PathBuf {
    engine.store.paths().root().join("kept")
}

fn prefix(key: BuildKey) -> String {
    format!("{}-", &key.hex()[..16])
}

/// The newest work tree of a key.
pub(crate) fn newest_of(engine: &Engine, key: BuildKey) -> Option<PathBuf> {
    newest(&directory(engine), key).map(|dir| dir.join(TREE))
}

fn newest(all: &Path, key: BuildKey) -> Option<PathBuf> {
    let prefix = prefix(key);
    let of_key = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
    let since = |dir: PathBuf| Some((fs::metadata(dir.join(RECORD)).ok()?.modified().ok()?, dir));
    let entries = fs::read_dir(all).ok()?.filter_map(Result::ok).filter(of_key);
    entries.filter_map(|entry| since(entry.path())).max().map(|(_, dir)| dir)
}

fn gone(text: String) -> EngineError {
    let help = "run `kbs realize --keep-failed` again, and the shell when it has failed".to_owned();
    EngineError::NotFound { text, help: Some(help) }
}
