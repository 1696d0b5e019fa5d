//! Takes bytes in: hashed on the way to `scratch/`, synced, then renamed to their blob names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use kbs_plan::id::{BlobId, IdHasher};
use kbs_plan::path::{PATH_MAX_B, RelPath};
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::{Timespec, Timestamps, futimens};

use crate::blobs::{CHUNK_B, holds};
use crate::disk;
use crate::early::{Writing, while_writing};
use crate::error::{At as _, StoreError};
use crate::layout::{Executable, Layout, MTIME, Purpose, Variant};
use crate::parallel;
use crate::store::Store;
use crate::sweep::remove_tree;
use crate::thing::Pinned;

/// Files up to this size are hashed before anything is written: what is known is not written again.
const SMALL_B: u64 = 1 << 20;

/// A directory in `scratch/` that goes away with this value.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
}

impl Stage {
    pub(crate) fn new(layout: &Layout) -> Result<Self, StoreError> {
        Ok(Self { path: disk::create_temporary_dir(&layout.scratch(), "stage-")? })
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            // Opening the store sweeps it.
            tracing::warn!(path = %self.path.display(), %error, "a staging directory stays");
        }
    }
}

/// Blobs on their way in, for one purpose; several threads may give them.
#[derive(Debug)]
pub(crate) struct Batch<'s> {
    layout: &'s Layout,
    purpose: Purpose,
    pub(crate) stage: Stage,
    taken: AtomicU64,
    incoming: Mutex<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    /// What is not in the store yet, and where it waits.
    fresh: BTreeMap<(BlobId, Variant), PathBuf>,
    pinned: Pinned,
}

impl<'s> Batch<'s> {
    pub(crate) fn new(store: &'s Store, purpose: Purpose) -> Result<Self, StoreError> {
        let layout = store.paths();
        let incoming = Incoming { fresh: BTreeMap::new(), pinned: store.pins.none() };
        Ok(Self {
            layout,
            purpose,
            stage: Stage::new(layout)?,
            taken: AtomicU64::new(0),
            incoming: Mutex::new(incoming),
        })
    }

    /// Takes one file's bytes, of which there are about `size_b`; `place` is for the message when they
    /// cannot be read.
    pub(crate) fn take(
        &self,
        place: &RelPath,
        executable: Executable,
        (reader, size_b): (&mut dyn Read, u64),
    ) -> Result<(BlobId, u64), StoreError> {
        let variant = Variant::of(self.purpose, executable);
        let input_error = |source| StoreError::Input { path: place.clone(), source };
        let room = usize::try_from(size_b.min(SMALL_B)).unwrap_or(0) + 1;
        let mut head = Vec::with_capacity(room);
        (&mut *reader).take(SMALL_B).read_to_end(&mut head).map_err(input_error)?;
        if (head.len() as u64) < SMALL_B {
            let (id, size_b) = (BlobId::of(&head), head.len() as u64);
            if !self.has(id, size_b, variant) {
                let (mut file, waiting) = self.waiting()?;
                disk::write(&mut file, &head, &waiting, (0, size_b))?;
                finish_file(&file, variant).at("set the mode and time of", &waiting)?;
                self.hand_in(id, variant, waiting)?;
            }
            return Ok((id, size_b));
        }
        let (mut file, waiting) = self.waiting()?;
        let mut copy = Copying::new(&mut file, &waiting, size_b);
        copy.write(&head)?;
        let mut chunk = head;
        chunk.resize(CHUNK_B, 0);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => copy.write(&chunk[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(input_error(error)),
            }
        }
        let (id, size_b) = copy.finish();
        finish_file(&file, variant).at("set the mode and time of", &waiting)?;
        if self.has(id, size_b, variant) {
            disk::remove_file(&waiting)?;
        } else {
            self.hand_in(id, variant, waiting)?;
        }
        Ok((id, size_b))
    }

    fn waiting(&self) -> Result<(File, PathBuf), StoreError> {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let waiting = self.stage.join(&number.to_string());
        Ok((disk::create_file(&waiting)?, waiting))
    }

    /// Whether the blob is in the store or on its way; it stays there from now on.
    fn has(&self, id: BlobId, size_b: u64, variant: Variant) -> bool {
        let is_on_its_way = {
            let mut incoming = self.lock();
            incoming.pinned.add(id);
            incoming.fresh.contains_key(&(id, variant))
        };
        is_on_its_way || holds(&self.layout.blob(id, variant), id, size_b, variant)
    }

    fn hand_in(&self, id: BlobId, variant: Variant, waiting: PathBuf) -> Result<(), StoreError> {
        // Another thread may have had the same bytes meanwhile.
        match self.lock().fresh.insert((id, variant), waiting) {
            Some(twin) => disk::remove_file(&twin).map(drop),
            None => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts everything taken under its name, synced; returns the directories that gained a name
    /// and are not synced yet, and what keeps the blobs there.
    pub(crate) fn place(self) -> Result<(BTreeSet<PathBuf>, Pinned), StoreError> {
        let Self { layout, purpose: _, stage, taken: _, incoming } = self;
        let Incoming { fresh, pinned } =
            incoming.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A blob's name is believed, so the bytes have to be safe before they get it.
        disk::settle(layout.root(), &fresh.values().cloned().collect())?;
        let fresh: Vec<_> = fresh.into_iter().collect();
        let dir_of = |path: &Path| path.parent().expect("blobs lie two levels down").to_owned();
        let paths: Vec<_> =
            fresh.iter().map(|((id, variant), _)| layout.blob(*id, *variant)).collect();
        let mut changed: BTreeSet<_> = paths.iter().map(|path| dir_of(path)).collect();
        let mut made = false;
        for dir in &changed {
            made |= disk::create_dir_if_absent(dir)?;
        }
        if made {
            changed.insert(layout.blobs());
        }
        parallel::for_each_little(fresh.len(), &|number| {
            disk::rename(&fresh[number].1, &paths[number], "rename a new blob to")
        })?;
        drop(stage);
        Ok((changed, pinned))
    }
}

/// A file that is being written and hashed.
struct Copying<'a> {
    file: &'a mut File,
    path: &'a Path,
    hasher: IdHasher<kbs_plan::id::Blob>,
    written_b: u64,
    whole_b: u64,
}

impl<'a> Copying<'a> {
    fn new(file: &'a mut File, path: &'a Path, whole_b: u64) -> Self {
        Self { file, path, hasher: IdHasher::new(), written_b: 0, whole_b }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        disk::write(self.file, bytes, self.path, (self.written_b, self.whole_b))?;
        self.written_b += bytes.len() as u64;
        Ok(())
    }

    fn finish(self) -> (BlobId, u64) {
        (self.hasher.finish(), self.written_b)
    }
}

/// Gives a written file the mode of its variant and the one time.
pub(crate) fn finish_file(file: &File, variant: Variant) -> io::Result<()> {
    disk::step("set a mode and time")?;
    file.set_permissions(Permissions::from_mode(variant.mode))?;
    Ok(futimens(file, &fixed_times())?)
}

/// The time that everything in the store has, as a system call takes it.
pub(crate) fn fixed_times() -> Timestamps {
    let (tv_sec, tv_nsec) = MTIME;
    let time = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: time, last_modification: time }
}

/// Checks what the kernel would refuse, or cut at a NUL byte.
pub(crate) fn check_target(path: &RelPath, target: &str) -> Result<(), StoreError> {
    if target.is_empty() || target.len() > PATH_MAX_B || target.contains('\0') {
        return Err(StoreError::LinkTarget { path: path.clone() });
    }
    Ok(())
}

/// A file on its way into a tree.
#[derive(Debug, Clone)]
pub struct Incomer {
    /// Its place.
    pub path: RelPath,
    /// Whether it may be run.
    pub executable: Executable,
    /// Its size in bytes; no more are read.
    pub size_b: u64,
}

/// Collects a tree of files into the store.
///
/// Nothing is kept of one that is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Ingest<'s> {
    batch: Batch<'s>,
    tree: Tree,
}

/// A tree whose blobs are in the store, and stay there at least as long as this value.
#[derive(Debug)]
pub struct Ingested {
    tree: Tree,
    _pinned: Pinned,
}

impl Deref for Ingested {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

impl Store {
    /// Begins to collect a tree.
    ///
    /// # Errors
    /// [`StoreError::Io`] where `scratch/` cannot be written.
    pub fn ingest(&self) -> Result<Ingest<'_>, StoreError> {
        Ok(Ingest { batch: Batch::new(self, Purpose::Output)?, tree: Tree::default() })
    }
}

impl Ingest<'_> {
    /// Adds a file with everything that `reader` has; returns its blob and its size in bytes.
    ///
    /// # Errors
    /// [`StoreError::Input`] where `reader` fails, [`StoreError::NoSpace`], [`StoreError::Io`],
    /// [`StoreError::Tree`] where the path is taken.
    pub fn file(
        &mut self,
        path: RelPath,
        executable: Executable,
        reader: &mut dyn Read,
    ) -> Result<(BlobId, u64), StoreError> {
        let (blob, size) = self.batch.take(&path, executable, (reader, 0))?;
        let executable = executable == Executable::Yes;
        self.tree.insert(path, Entry::File { blob, size, executable })?;
        Ok((blob, size))
    }

    /// Adds many files, with all processors; `open` gives the bytes of each.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn files<R: Read>(
        &mut self,
        incomers: Vec<Incomer>,
        open: &(dyn Fn(&RelPath) -> io::Result<R> + Sync),
    ) -> Result<(), StoreError> {
        let batch = &self.batch;
        let take = |number: usize, writing: &Writing| {
            let Incomer { path, executable, size_b } = &incomers[number];
            let reader =
                open(path).map_err(|source| StoreError::Input { path: path.clone(), source })?;
            let taken = batch.take(path, *executable, (&mut reader.take(*size_b), *size_b))?;
            writing.wrote(taken.1);
            Ok::<_, StoreError>(taken)
        };
        let taken = while_writing(batch.layout.root(), |writing| {
            parallel::for_each(incomers.len(), &|number| take(number, writing))
        })?;
        for (incomer, (blob, size)) in incomers.into_iter().zip(taken) {
            let Incomer { path, executable, size_b: _ } = incomer;
            let executable = executable == Executable::Yes;
            self.tree.insert(path, Entry::File { blob, size, executable })?;
        }
        Ok(())
    }

    /// Adds a symbolic link; its target is kept as written and never followed.
    ///
    /// # Errors
    /// [`StoreError::LinkTarget`], [`StoreError::Tree`].
    pub fn symlink(&mut self, path: RelPath, target: String) -> Result<(), StoreError> {
        check_target(&path, &target)?;
        Ok(self.tree.insert(path, Entry::Symlink { target })?)
    }

    /// Adds a directory, which may stay empty.
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn directory(&mut self, path: RelPath) -> Result<(), StoreError> {
        Ok(self.tree.insert(path, Entry::Directory)?)
    }

    /// Ends the collection: every blob of the returned tree is in the store, synced.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NoSpace`].
    pub fn finish(self) -> Result<Ingested, StoreError> {
        let Self { batch, tree } = self;
        let layout = batch.layout;
        let (changed, pinned) = batch.place()?;
        disk::settle(layout.root(), &changed)?;
        Ok(Ingested { tree, _pinned: pinned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_plan::error::{Class, Help as _};
    use std::fs::OpenOptions;

    #[test]
    fn a_full_disk_names_the_file_and_what_it_needs_and_is_not_our_bug() {
        let path = Path::new("/dev/full");
        let mut full = OpenOptions::new().write(true).open(path).unwrap();
        let mut copy = Copying::new(&mut full, path, 1_000_000);
        copy.written_b = 400_000;
        let error = copy.write(&[7; 100]).unwrap_err();
        assert_eq!(error.class(), Class::Environment);
        let text = error.to_string();
        assert!(text.contains("/dev/full: it needs 600000 more bytes, "), "{text}");
        assert!(error.help().unwrap().contains("free space"));
    }
}
