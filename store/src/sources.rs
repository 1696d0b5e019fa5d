//! Source layers: directories that a build's overlay can lie on, each made once.
//!
//! Their files are files of their own, never links to blobs: a build would see how many names a file
//! has, and with it what else is stored. Where the file system can share bytes between files, they
//! share those of the blobs; everywhere else commits share layers.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kbs_plan::error::{Class, Help};
use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};

use crate::changes::Change;
use crate::check::glance;
use crate::checkout::stamp_directories;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::index::TreeRow;
use crate::ingest::{check_target, finish_file};
use crate::layout::{Executable, Purpose, Variant};
use crate::litter::Unfinished;
use crate::meta::{TreeMeta, encode};
use crate::parallel;
use crate::row::RowError;
use crate::stage::Stage;
use crate::store::Store;
use crate::tables::{IMAGES, LAYERS};
use crate::thing::{Lease, Pinned, Thing};

/// One entry of a layer on its way in.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Where it belongs; directories above it need no entry of their own.
    pub path: RelPath,
    /// What it is.
    pub kind: SourceKind,
}

/// What an entry of a layer is.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A regular file.
    File {
        /// Whether it may be run.
        executable: Executable,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written; never followed.
        target: String,
    },
    /// A directory, which may stay empty.
    Directory,
}

/// A layer that can be used, and that is not recorded yet: nobody finds it before
/// [`record_layers`](Store::record_layers). Dropped without that, its files are left to a sweep.
#[derive(Debug)]
#[must_use]
pub struct NewLayer {
    dir: PathBuf,
    thing: Thing,
    meta: TreeMeta,
    /// Has what was in its place.
    stage: Stage,
    unfinished: Unfinished,
    _lease: Lease,
    /// What its files share their bytes with.
    _pinned: Pinned,
}

impl NewLayer {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// A layer could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum SourceError<E: Error + 'static> {
    /// The bytes of a file could not be had.
    #[error(transparent)]
    Entry(E),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E: Help + 'static> Help for SourceError<E> {
    fn class(&self) -> Class {
        match self {
            Self::Entry(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Entry(error) => error.help(),
            Self::Store(error) => error.help(),
        }
    }
}

impl Store {
    /// The directory of a layer, if it is there and as good as a quick look can tell. One that is
    /// damaged is not there: made again, it takes the old one's place.
    ///
    /// # Errors
    /// [`StoreError::Txn`], [`StoreError::Row`].
    pub fn layer(&self, name: [u8; 32]) -> Result<Option<PathBuf>, StoreError> {
        let thing = Thing::Layer(name);
        match self.inspect(thing)? {
            None => Ok(self.tree_row(thing)?.map(|_| self.paths().layer(name))),
            Some(problem) => {
                tracing::warn!(%thing, problem, "a source layer is damaged and made again");
                Ok(None)
            }
        }
    }

    /// Looks at some files of a layer or an image, others each time; says what is wrong. Nothing is
    /// wrong with one that is not there.
    ///
    /// # Errors
    /// [`StoreError::Txn`], [`StoreError::Row`], [`StoreError::Io`] where no file can be looked at.
    pub fn inspect(&self, thing: Thing) -> Result<Option<String>, StoreError> {
        const FILES: usize = 8;
        let path = match thing {
            Thing::Layer(name) => self.paths().layer(name),
            Thing::Image(name) => self.paths().rootfs(name),
            Thing::Output(_) => unreachable!("outputs are looked at when they are looked up"),
        };
        match self.listing(thing) {
            Ok(Some(tree)) => glance(&path, &tree, Purpose::Source, (self.next_turn(), FILES))
                .at("look at", &path),
            Ok(None) => Ok(None),
            Err(StoreError::Meta { reason, .. }) => Ok(Some(reason)),
            Err(StoreError::Row { source: error @ RowError::Damaged { .. }, .. }) => {
                Ok(Some(format!("its row cannot be read: {error}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a layer under a name that its caller answers for: equal names, equal files. `read` gives
    /// the bytes of the file with that number in `entries`, on several threads.
    ///
    /// Directories have mode 0755, files 0644 or 0755, everything one time of change, and every file
    /// one name: what else is stored cannot be seen. The directory is for reading, whatever the
    /// modes say. The caller holds one lease; where others do, what was there stays readable to them.
    /// One thread at a time makes a layer, until it is recorded or dropped: what is in its place counts
    /// as damaged.
    ///
    /// # Errors
    /// [`SourceError::Entry`] with an error of `read`, [`SourceError::Store`]; the layer is not there
    /// then.
    pub fn ingest_layer<E: Error + Send + 'static>(
        &self,
        name: [u8; 32],
        entries: &[SourceEntry],
        read: &(dyn Fn(usize) -> Result<Vec<u8>, E> + Sync),
        now_unix_s: u64,
    ) -> Result<NewLayer, SourceError<E>> {
        let shape = shape(entries)?;
        let stage = Stage::new(self.paths())?;
        let top = stage.tree();
        make_directories(&shape, &top)?;
        let pinned = Mutex::new(self.pins.none());
        let written = parallel::for_each(entries.len(), &|number| {
            let SourceEntry { path, kind } = &entries[number];
            let SourceKind::File { executable } = kind else {
                return Ok::<_, SourceError<E>>(None);
            };
            let bytes = read(number).map_err(SourceError::Entry)?;
            let place = top.join(path.as_path());
            let blob = BlobId::of(&bytes);
            let variant = Variant::of(Purpose::Source, *executable);
            if !self.clone_bytes((blob, &bytes), variant, &place, (&stage, &pinned))? {
                let mut file = disk::create_file(&place)?;
                disk::write(&mut file, &bytes, &place, (0, bytes.len() as u64))?;
                finish_file(&file, variant).at("set the mode and time of", &place)?;
            }
            Ok(Some((blob, bytes.len() as u64)))
        })?;
        let mut tree = Tree::default();
        for (SourceEntry { path, kind }, written) in entries.iter().zip(written) {
            let entry = match (kind, written) {
                (SourceKind::File { executable }, Some((blob, size))) => {
                    Entry::File { blob, size, executable: *executable == Executable::Yes }
                }
                (SourceKind::Symlink { target }, _) => {
                    disk::symlink(target, &top.join(path.as_path()))?;
                    Entry::Symlink { target: target.clone() }
                }
                _ => Entry::Directory,
            };
            tree.insert(path.clone(), entry).map_err(StoreError::from)?;
        }
        stamp_directories(&shape, &top, Purpose::Source)?;
        let pinned = pinned.into_inner().unwrap_or_else(PoisonError::into_inner);
        let meta = TreeMeta::new(Thing::Layer(name), now_unix_s, tree);
        Ok(self.place_layer(name, meta, stage, pinned)?)
    }

    /// Renames the directory into place, where nothing says yet that it is whole.
    fn place_layer(
        &self,
        name: [u8; 32],
        meta: TreeMeta,
        stage: Stage,
        pinned: Pinned,
    ) -> Result<NewLayer, StoreError> {
        let (layout, thing) = (self.paths(), Thing::Layer(name));
        let dir = layout.layer(name);
        let unfinished = self.unfinished();
        let _adding = self.locks.add();
        // Whatever speaks of what was there does not speak of what is not on the disk yet.
        if self.tree_row(thing).map_or(true, |row| row.is_some()) {
            self.submit("forget a damaged source layer", vec![Change::DropTree { thing }])?;
        }
        if disk::remove_file(&layout.meta_of(thing))? {
            disk::sync(&layout.metas())?;
        }
        if dir.symlink_metadata().is_ok() && self.leases.is_shared(thing) {
            // A build may be reading it: it goes when the directory is opened again.
            self.set_aside(&dir)?;
        } else if dir.symlink_metadata().is_ok() {
            disk::rename(&dir, &stage.join("old"), "move aside what was left in the place of")?;
        }
        disk::rename(&stage.tree(), &dir, "rename a new source layer to")?;
        Ok(NewLayer {
            dir,
            thing,
            meta,
            stage,
            unfinished,
            _lease: self.lease(thing),
            _pinned: pinned,
        })
    }

    /// Has layers found from now on, also after a power cut: all of them are on the disk before any
    /// of them has a row. They come in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the disk does not take them: what was made from them since is not to
    /// be trusted. [`StoreError::NoSpace`], [`StoreError::Txn`].
    pub fn record_layers(&self, mut layers: Vec<NewLayer>) -> Result<(), StoreError> {
        let layout = self.paths();
        let Some(first) = layers.first() else { return Ok(()) };
        let mut unsynced = vec![layout.sources()];
        for NewLayer { dir, meta, stage, .. } in &layers {
            let staged = stage.join("meta");
            disk::write_file(&staged, &encode(meta))?;
            unsynced.extend([staged, dir.clone()]);
            let has_bytes = |entry: &Entry| !matches!(entry, Entry::Symlink { .. });
            let entries = meta.tree.iter().filter(|(_, entry)| has_bytes(entry));
            unsynced.extend(entries.map(|(path, _)| dir.join(path.as_path())));
        }
        // The oldest stage has seen everything that was written.
        first.stage.settle(&unsynced)?;
        let _adding = self.locks.add();
        for NewLayer { thing, stage, .. } in &layers {
            let place = layout.meta_of(*thing);
            disk::rename(&stage.join("meta"), &place, "rename metadata to")?;
        }
        disk::sync(&layout.metas())?;
        let put = |layer: &NewLayer| Change::PutTree {
            thing: layer.thing,
            row: layer.meta.row(),
            blobs: Vec::new(),
        };
        self.submit("record source layers", layers.iter().map(put).collect())?;
        for layer in &mut layers {
            layer.unfinished.finish();
        }
        Ok(())
    }

    /// The row of a layer or an image.
    pub(crate) fn tree_row(&self, thing: Thing) -> Result<Option<TreeRow>, StoreError> {
        let row = self.db.read("look up a tree", |txn| {
            let bytes = match thing {
                Thing::Layer(name) => txn.open_table(LAYERS)?.get(&name)?,
                Thing::Image(name) => txn.open_table(IMAGES)?.get(&name)?,
                Thing::Output(_) => None,
            };
            Ok(bytes.map(|bytes| TreeRow::decode(bytes.value())))
        })?;
        row.transpose().map_err(|source| StoreError::Row {
            table: "layers and images",
            key: thing.to_string(),
            source,
        })
    }
}

/// The entries with directories above them and no bytes: refuses what no tree can hold, before
/// anything is written through it.
fn shape(entries: &[SourceEntry]) -> Result<Tree, StoreError> {
    let mut shape = Tree::default();
    for SourceEntry { path, kind } in entries {
        let entry = match kind {
            SourceKind::File { executable } => Entry::File {
                blob: BlobId::from_bytes([0; 32]),
                size: 0,
                executable: *executable == Executable::Yes,
            },
            SourceKind::Symlink { target } => {
                check_target(path, target)?;
                Entry::Symlink { target: target.clone() }
            }
            SourceKind::Directory => Entry::Directory,
        };
        shape.insert(path.clone(), entry)?;
    }
    Ok(shape)
}

fn make_directories(shape: &Tree, top: &Path) -> Result<(), StoreError> {
    disk::create_dir(top)?;
    let directories = shape.iter().filter(|(_, entry)| **entry == Entry::Directory);
    directories.map(|(path, _)| top.join(path.as_path())).try_for_each(|dir| disk::create_dir(&dir))
}
