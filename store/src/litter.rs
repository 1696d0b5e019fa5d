//! Finds what a kill has left: whole files and directories that no row names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kbs_plan::id::{BlobId, BuildKey};

use crate::disk;
use crate::error::{At as _, StoreError};
use crate::layout::Variant;
use crate::rebuild::About;
use crate::removal::Removed;
use crate::stage::Stage;
use crate::store::Store;
use crate::thing::Thing;

/// Something whose files are litter, unless it comes to its end.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// Of the store.
    has_litter: Arc<AtomicBool>,
    is_finished: bool,
}

impl Unfinished {
    /// It came to its end.
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            self.has_litter.store(true, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// Begins something.
    pub(crate) fn unfinished(&self) -> Unfinished {
        Unfinished { has_litter: Arc::clone(&self.has_litter), is_finished: false }
    }

    /// Removes everything that no row names and that nobody is making: what a kill has left, and what
    /// a removal could not take.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed so far is gone.
    pub fn sweep(&self) -> Result<Removed, StoreError> {
        // Before: what is left from now on may come too late for this sweep.
        let had_litter = self.has_litter.swap(false, Ordering::Relaxed);
        self.sweep_all().inspect_err(|_| {
            self.has_litter.fetch_or(had_litter, Ordering::Relaxed);
        })
    }

    fn sweep_all(&self) -> Result<Removed, StoreError> {
        let layout = self.paths();
        let _room = self.room();
        let mut removed = Removed::default();
        let stage = Stage::new(layout)?;
        let dirs: [(_, Whose<'_>); 5] = [
            (layout.images(), &Self::is_image_named),
            (layout.outputs(), &|store, name, _| store.is_output_named(name)),
            (layout.sources(), &Self::is_layer_named),
            (layout.metas(), &Self::is_meta_named),
            (layout.logs(), &|store, name, _| store.is_log_named(name)),
        ];
        for (dir, is_named) in dirs {
            removed += self.sweep_dir(&dir, is_named, &stage)?;
        }
        drop(stage);
        removed += self.release(&self.unlinked_blobs()?)?;
        Ok(removed)
    }

    fn sweep_dir(
        &self,
        dir: &Path,
        is_named: Whose<'_>,
        stage: &Stage,
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let mut suspects = Vec::new();
        // One by one: there may be millions.
        for entry in fs::read_dir(dir).at("list", dir)? {
            let name = entry.at("list", dir)?.file_name();
            if !self.is_ours(&name, is_named, &|thing| self.leases.holds(thing))? {
                suspects.push(name);
            }
        }
        if suspects.is_empty() {
            return Ok(removed);
        }
        // Looked at again while nobody is between a file and its row, or begins to use it.
        let _alone = self.locks.take_away();
        self.leases.while_still(|is_leased| {
            for name in suspects {
                let path = dir.join(&name);
                if self.is_ours(&name, is_named, is_leased)? {
                    continue;
                }
                let Ok(facts) = fs::symlink_metadata(&path) else { continue };
                if facts.is_dir() {
                    disk::set_mode(&path, 0o755)?;
                    let number = removed.things;
                    let aside =
                        format!("{}-{number}", dir.file_name().unwrap_or_default().display());
                    disk::rename(&path, &stage.join(&aside), "move away")?;
                } else {
                    disk::remove_file(&path)?;
                    removed.freed_b += facts.len();
                }
                removed.things += 1;
            }
            Ok(removed)
        })
    }

    /// Whether a name is one that we did not give, or one that a row needs.
    fn is_ours(
        &self,
        name: &OsString,
        is_named: Whose<'_>,
        is_leased: IsLeased<'_>,
    ) -> Result<bool, StoreError> {
        // A name that is no text is none of ours, and not ours to remove.
        match name.to_str().map_or(Ok(true), |name| is_named(self, name, is_leased)) {
            // Its row is not gone, and no reason to leave everything else.
            Err(error @ StoreError::Row { .. }) => {
                tracing::warn!(name = %name.display(), %error, "it is not swept");
                Ok(true)
            }
            named => named,
        }
    }

    fn is_output_named(&self, name: &str) -> Result<bool, StoreError> {
        let Some((hex, name)) = name.split_at_checked(64) else { return Ok(true) };
        let (Ok(key), Some(name)) = (hex.parse::<BuildKey>(), name.strip_prefix('-')) else {
            return Ok(true);
        };
        let row = self.lookup(key)?;
        Ok(row.is_some_and(|row| row.stored_as == key && row.stored_name == name))
    }

    fn is_layer_named(&self, name: &str, is_leased: IsLeased<'_>) -> Result<bool, StoreError> {
        // By their shape, those of older layouts are among these, and have no row.
        let Ok(id) = name.parse::<BlobId>() else { return Ok(true) };
        self.is_tree_needed(Thing::Layer(*id.as_bytes()), is_leased)
    }

    fn is_image_named(&self, name: &str, is_leased: IsLeased<'_>) -> Result<bool, StoreError> {
        let id = name.strip_prefix("sha256-").and_then(|hex| hex.parse::<BlobId>().ok());
        id.map_or(Ok(true), |id| self.is_tree_needed(Thing::Image(*id.as_bytes()), is_leased))
    }

    /// Whether a layer or an image has a row, or somebody uses it without.
    fn is_tree_needed(&self, thing: Thing, is_leased: IsLeased<'_>) -> Result<bool, StoreError> {
        if self.tree_row(thing)?.is_some() {
            return Ok(true);
        }
        let is_used = is_leased(thing);
        // It may never have a row, and is left to another sweep then.
        self.has_litter.fetch_or(is_used, Ordering::Relaxed);
        Ok(is_used)
    }

    fn is_meta_named(&self, name: &str, is_leased: IsLeased<'_>) -> Result<bool, StoreError> {
        match About::of(name) {
            About::Thing(Thing::Output(key)) => Ok(self.lookup(key)?.is_some()),
            About::Thing(thing) => self.is_tree_needed(thing, is_leased),
            About::Failure(key) => Ok(self.failure(key)?.is_some()),
            About::Other => Ok(true),
        }
    }

    fn is_log_named(&self, name: &str) -> Result<bool, StoreError> {
        let Some(name) = name.strip_suffix(".zst") else { return Ok(true) };
        match name.split_once('.') {
            None => match name.parse::<BuildKey>() {
                Ok(key) => Ok(self.lookup(key)?.is_some()),
                Err(_) => Ok(true),
            },
            Some((name, "failed")) => match name.parse::<BuildKey>() {
                Ok(key) => Ok(self.failure(key)?.is_some()),
                Err(_) => Ok(true),
            },
            Some(_) => Ok(true),
        }
    }

    /// Blobs that have no name but their own.
    fn unlinked_blobs(&self) -> Result<BTreeSet<BlobId>, StoreError> {
        let mut unlinked = BTreeSet::new();
        self.each_blob_file(&mut |blob, _, path| {
            let links = fs::symlink_metadata(path).map(|facts| facts.nlink());
            if links.is_ok_and(|links| links <= 1) {
                unlinked.insert(blob);
            }
            Ok(())
        })?;
        Ok(unlinked)
    }

    /// Shows every file of every blob.
    pub(crate) fn each_blob_file(
        &self,
        show: &mut dyn FnMut(BlobId, Variant, &Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let blobs = self.paths().blobs();
        for dir in names_in(&blobs)? {
            let dir = blobs.join(dir);
            // What is no directory is none of ours.
            if !dir.is_dir() {
                continue;
            }
            for name in names_in(&dir)? {
                let found = name.to_str().and_then(Variant::of_file_name);
                if let Some((blob, variant)) = found {
                    show(blob, variant, &dir.join(name))?;
                }
            }
        }
        Ok(())
    }
}

/// Says whether a row needs what has this name, or somebody uses it.
type Whose<'a> = &'a dyn Fn(&Store, &str, IsLeased<'_>) -> Result<bool, StoreError>;

/// Says whether somebody uses a thing.
type IsLeased<'a> = &'a dyn Fn(Thing) -> bool;

fn names_in(dir: &Path) -> Result<Vec<OsString>, StoreError> {
    match fs::read_dir(dir) {
        // A file among directories is none of ours.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        listed => listed
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .at("list", dir),
    }
}
