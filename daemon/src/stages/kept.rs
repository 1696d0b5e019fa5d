//! Work trees of failed builds: kept where that is asked, and gone on with in a shell.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

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
    pub(crate) fn keep(self, order: &Order, jail: &JailSpec) -> Option<PathBuf> {
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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("a shell is open in the work tree {}", dir.display());
                let help = Some("leave that shell first".to_owned());
                return Err(EngineError::Request { text, help }.into());
            }
            Err(TryLockError::Error(error)) => return Err(host(error).into()),
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
