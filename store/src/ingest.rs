//! Takes a tree in: files are hashed on their way to where they belong in `scratch/`, synced, and then
//! get the names of their blobs as further names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbs_plan::id::{BlobId, IdHasher};
use kbs_plan::path::{PATH_MAX_B, RelPath};
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::{Timespec, Timestamps, futimens};

use crate::blobs::{CHUNK_B, holds};
use crate::checkout::check_out;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::layout::{Executable, MTIME, Purpose, Variant};
use crate::litter::Unfinished;
use crate::parallel;
use crate::stage::Stage;
use crate::store::Store;
use crate::thing::Pinned;

/// Files up to this size are hashed before anything is written: what is known is not written again.
const SMALL_B: u64 = 1 << 20;

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
/// Nothing is kept of one that is dropped before [`finish`](Self::finish). The path of a file that
/// could not be taken stays taken.
#[derive(Debug)]
pub struct Ingest<'s> {
    store: &'s Store,
    /// Has the tree, with the files whose bytes are new.
    stage: Stage,
    /// What is where: no tree can hold what this refuses, so nothing is written before it was asked.
    shape: Tree,
    tree: Tree,
    incoming: Mutex<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    /// The files that have the bytes of blobs which are not in the store yet.
    fresh: BTreeMap<(BlobId, Variant), RelPath>,
    /// The directories of blobs that are: whoever brought one may not have synced its name yet.
    met: BTreeSet<PathBuf>,
    pinned: Pinned,
}

/// A tree that waits in the store for its [`commit`](Store::commit). Its blobs are there, and stay at
/// least as long as this value.
#[derive(Debug)]
pub struct Ingested {
    pub(crate) tree: Tree,
    /// Has the tree, whole.
    pub(crate) stage: Stage,
    /// What of it is not synced yet.
    pub(crate) unsynced: Vec<PathBuf>,
    /// Its new blobs are litter until it is committed; `None` where it brought none.
    pub(crate) unfinished: Option<Unfinished>,
    pub(crate) _pinned: Pinned,
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
        let stage = Stage::new(self.paths())?;
        disk::create_dir(&stage.tree())?;
        Ok(Ingest {
            store: self,
            stage,
            shape: Tree::default(),
            tree: Tree::default(),
            incoming: Mutex::new(Incoming {
                fresh: BTreeMap::new(),
                met: BTreeSet::new(),
                pinned: self.pins.none(),
            }),
        })
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
        self.make_room([&path])?;
        let (blob, size) = self.take(&path, executable, (reader, 0))?;
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
        self.make_room(incomers.iter().map(|incomer| &incomer.path))?;
        let taken = parallel::for_each(incomers.len(), &|number| {
            let Incomer { path, executable, size_b } = &incomers[number];
            let reader =
                open(path).map_err(|source| StoreError::Input { path: path.clone(), source })?;
            self.take(path, *executable, (&mut reader.take(*size_b), *size_b))
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
        self.shape.insert(path.clone(), Entry::Symlink { target: target.clone() })?;
        Ok(self.tree.insert(path, Entry::Symlink { target })?)
    }

    /// Adds a directory, which may stay empty.
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn directory(&mut self, path: RelPath) -> Result<(), StoreError> {
        self.shape.insert(path.clone(), Entry::Directory)?;
        Ok(self.tree.insert(path, Entry::Directory)?)
    }

    /// Ends the collection: every blob of the returned tree is in the store, its bytes synced.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NoSpace`].
    pub fn finish(self) -> Result<Ingested, StoreError> {
        let Self { store, stage, shape, tree, incoming } = self;
        let Incoming { fresh, met, pinned } =
            incoming.into_inner().unwrap_or_else(PoisonError::into_inner);
        let layout = store.paths();
        let (names, paths): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let unfinished = (!names.is_empty()).then(|| store.unfinished());
        let places: Vec<_> = paths.iter().map(|path| stage.place(path)).collect();
        // A blob's name is believed, so the bytes have to be safe before they get it.
        stage.settle(&places)?;
        let mut unsynced: Vec<_> = names.iter().map(|(id, _)| layout.blob_dir(*id)).collect();
        // Names are in the order of their directories.
        unsynced.dedup();
        let mut made = false;
        for dir in &unsynced {
            made |= disk::create_dir_if_absent(dir)?;
        }
        if made {
            unsynced.push(layout.blobs());
        }
        unsynced.extend(met);
        let stays = parallel::for_each_little(names.len(), &|number| {
            store.name_blob(&places[number], names[number])
        })?;
        let stays = paths.into_iter().zip(stays).filter(|(_, stays)| *stays);
        let there = stays.map(|(path, _)| path).collect();
        remove_lost(&shape, &tree, &stage)?;
        unsynced.extend(check_out(layout, &tree, &stage.tree(), &there)?);
        Ok(Ingested { tree, stage, unsynced, unfinished, _pinned: pinned })
    }

    /// Makes the directories above new files.
    fn make_room<'p>(
        &mut self,
        paths: impl IntoIterator<Item = &'p RelPath>,
    ) -> Result<(), StoreError> {
        let mut above = BTreeSet::new();
        for path in paths {
            let blob = BlobId::from_bytes([0; 32]);
            self.shape.insert(path.clone(), Entry::File { blob, size: 0, executable: false })?;
            let mut next = path.parent();
            while let Some(dir) = next.filter(|dir| !above.contains(dir)) {
                next = dir.parent();
                above.insert(dir);
            }
        }
        for dir in above {
            disk::create_dir_if_absent(&self.stage.place(&dir))?;
        }
        Ok(())
    }

    /// Takes one file's bytes, of which there are about `size_b`; those that are known are not
    /// written.
    fn take(
        &self,
        path: &RelPath,
        executable: Executable,
        (reader, size_b): (&mut dyn Read, u64),
    ) -> Result<(BlobId, u64), StoreError> {
        let variant = Variant::of(Purpose::Output, executable);
        let input_error = |source| StoreError::Input { path: path.clone(), source };
        let room = usize::try_from(size_b.min(SMALL_B)).unwrap_or(0) + 1;
        let mut head = Vec::with_capacity(room);
        (&mut *reader).take(SMALL_B).read_to_end(&mut head).map_err(input_error)?;
        let place = self.stage.place(path);
        if (head.len() as u64) < SMALL_B {
            let (id, size_b) = (BlobId::of(&head), head.len() as u64);
            if !self.has(id, size_b, variant) {
                let mut file = disk::create_file(&place)?;
                disk::write(&mut file, &head, &place, (0, size_b))?;
                finish_file(&file, variant).at("set the mode and time of", &place)?;
                disk::begin_sync(&file, size_b);
                self.hand_in(id, variant, path)?;
            }
            return Ok((id, size_b));
        }
        let mut file = disk::create_file(&place)?;
        let mut copy = Copying::new(&mut file, &place, size_b);
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
        finish_file(&file, variant).at("set the mode and time of", &place)?;
        if self.has(id, size_b, variant) {
            disk::remove_file(&place)?;
        } else {
            disk::begin_sync(&file, size_b);
            self.hand_in(id, variant, path)?;
        }
        Ok((id, size_b))
    }

    /// Whether the blob is in the store or on its way; it stays there from now on.
    fn has(&self, id: BlobId, size_b: u64, variant: Variant) -> bool {
        let is_on_its_way = {
            let mut incoming = self.lock();
            incoming.pinned.add(id);
            incoming.fresh.contains_key(&(id, variant))
        };
        if is_on_its_way {
            return true;
        }
        let layout = self.store.paths();
        let is_here = holds(&layout.blob(id, variant), id, size_b, variant);
        if is_here {
            self.lock().met.insert(layout.blob_dir(id));
        }
        is_here
    }

    fn hand_in(&self, id: BlobId, variant: Variant, path: &RelPath) -> Result<(), StoreError> {
        // Another thread may have had the same bytes meanwhile.
        match self.lock().fresh.insert((id, variant), path.clone()) {
            Some(twin) => disk::remove_file(&self.stage.place(&twin)).map(drop),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what files that could not be taken have left: parts of them, and directories.
fn remove_lost(shape: &Tree, tree: &Tree, stage: &Stage) -> Result<(), StoreError> {
    let lost: Vec<_> = shape.iter().filter(|(path, _)| tree.get(path).is_none()).collect();
    lost.into_iter().rev().try_for_each(|(path, entry)| {
        let place = stage.place(path);
        match entry {
            Entry::Directory => disk::remove_dir(&place),
            Entry::File { .. } | Entry::Symlink { .. } => disk::remove_file(&place).map(drop),
        }
    })
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
