//! Takes bytes in: hashed on the way to `scratch/`, synced, then renamed to their blob names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, IdHasher};
use kbs_plan::path::{PATH_MAX_B, RelPath};
use kbs_plan::tree::{Entry, Tree};
use rustix::fs::{Timespec, Timestamps, futimens};

use crate::blobs::{CHUNK_B, holds};
use crate::error::{At as _, StoreError, file_error};
use crate::layout::{Executable, Layout, MTIME, Purpose, Variant};
use crate::store::Store;
use crate::sweep::remove_tree;
use crate::sync::settle;

/// A directory in `scratch/` that goes away with this value.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
}

impl Stage {
    pub(crate) fn new(layout: &Layout) -> Result<Self, StoreError> {
        let scratch = layout.scratch();
        let dir = tempfile::Builder::new()
            .prefix("stage-")
            .tempdir_in(&scratch)
            .at("make a directory in", &scratch)?;
        Ok(Self { path: dir.keep() })
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

/// Blobs on their way in, for one purpose.
#[derive(Debug)]
pub(crate) struct Batch<'s> {
    layout: &'s Layout,
    purpose: Purpose,
    pub(crate) stage: Stage,
    /// What is not in the store yet, and where it waits.
    fresh: BTreeMap<(BlobId, Variant), PathBuf>,
    taken: u64,
}

impl<'s> Batch<'s> {
    pub(crate) fn new(layout: &'s Layout, purpose: Purpose) -> Result<Self, StoreError> {
        let stage = Stage::new(layout)?;
        Ok(Self { layout, purpose, stage, fresh: BTreeMap::new(), taken: 0 })
    }

    /// Takes one file's bytes; `place` is for the message when they cannot be read.
    pub(crate) fn take(
        &mut self,
        place: &RelPath,
        executable: Executable,
        reader: &mut dyn Read,
    ) -> Result<(BlobId, u64), StoreError> {
        self.taken += 1;
        let variant = Variant::of(self.purpose, executable);
        let waiting = self.stage.join(&self.taken.to_string());
        let mut file = File::create_new(&waiting).at("create", &waiting)?;
        let (id, size_b) = copy_hashing(reader, &mut file, place, &waiting)?;
        finish_file(&file, variant).at("set the mode and time of", &waiting)?;
        drop(file);

        let known = self.fresh.contains_key(&(id, variant))
            || holds(&self.layout.blob(id, variant), id, size_b, variant);
        if known {
            fs::remove_file(&waiting).at("remove", &waiting)?;
        } else {
            self.fresh.insert((id, variant), waiting);
        }
        Ok((id, size_b))
    }

    /// Puts everything taken under its name, synced; returns the directories that gained a name
    /// and are not synced yet, and the emptied stage.
    pub(crate) fn place(self) -> Result<(Stage, BTreeSet<PathBuf>), StoreError> {
        let Self { layout, purpose: _, stage, fresh, taken: _ } = self;
        // A blob's name is believed, so the bytes have to be safe before they get it.
        settle(layout.root(), &fresh.values().cloned().collect())?;
        let mut changed = BTreeSet::new();
        for ((id, variant), waiting) in fresh {
            let path = layout.blob(id, variant);
            let dir = path.parent().expect("blobs lie two levels down").to_owned();
            if !changed.contains(&dir) {
                match fs::create_dir(&dir) {
                    Ok(()) => changed.extend([layout.blobs()]),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error).at("create", &dir),
                }
            }
            fs::rename(&waiting, &path).at("rename a new blob to", &path)?;
            changed.insert(dir);
        }
        Ok((stage, changed))
    }
}

/// Copies everything from `reader`, and says what it was.
fn copy_hashing(
    reader: &mut dyn Read,
    writer: &mut dyn io::Write,
    place: &RelPath,
    path: &Path,
) -> Result<(BlobId, u64), StoreError> {
    let mut hasher = IdHasher::new();
    let mut size_b = 0;
    let mut chunk = vec![0; CHUNK_B];
    loop {
        let count = match reader.read(&mut chunk) {
            Ok(0) => return Ok((hasher.finish(), size_b)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(StoreError::Input { path: place.clone(), source }),
        };
        hasher.update(&chunk[..count]);
        writer
            .write_all(&chunk[..count])
            .map_err(|error| file_error("write", path, size_b, error))?;
        size_b += count as u64;
    }
}

/// Gives a written file the mode of its variant and the one time.
pub(crate) fn finish_file(file: &File, variant: Variant) -> io::Result<()> {
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

/// Writes a small file into the stage, with nothing special about it.
pub(crate) fn stage_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create_new(path).at("create", path)?;
    file.write_all(bytes).at("write", path)
}

/// Collects a tree of files into the store.
///
/// Nothing is kept of one that is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Ingest<'s> {
    batch: Batch<'s>,
    tree: Tree,
}

impl Store {
    /// Begins to collect a tree.
    ///
    /// # Errors
    /// [`StoreError::Io`] where `scratch/` cannot be written.
    pub fn ingest(&self) -> Result<Ingest<'_>, StoreError> {
        Ok(Ingest { batch: Batch::new(self.paths(), Purpose::Output)?, tree: Tree::default() })
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
        let (blob, size) = self.batch.take(&path, executable, reader)?;
        let executable = executable == Executable::Yes;
        self.tree.insert(path, Entry::File { blob, size, executable })?;
        Ok((blob, size))
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
    pub fn finish(self) -> Result<Tree, StoreError> {
        let Self { batch, tree } = self;
        let layout = batch.layout;
        let (_stage, changed) = batch.place()?;
        settle(layout.root(), &changed)?;
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_plan::error::{Class, Help as _};

    /// A disk with room for so many bytes.
    struct SmallDisk(usize);

    impl io::Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.0);
            self.0 -= fits;
            if fits == 0 { Err(io::Error::from_raw_os_error(28)) } else { Ok(fits) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_names_the_file_and_is_not_our_bug() {
        let place = RelPath::new("out/fw.bin").unwrap();
        let bytes = vec![7; 3 * CHUNK_B];
        let mut disk = SmallDisk(CHUNK_B + 10);
        let path = Path::new("/state/scratch/1");
        let error = copy_hashing(&mut bytes.as_slice(), &mut disk, &place, path).unwrap_err();
        assert_eq!(error.class(), Class::Environment);
        let text = error.to_string();
        assert!(text.contains("/state/scratch/1") && text.contains("131072 bytes"), "{text}");
        assert!(error.help().unwrap().contains("free space"));
    }
}
