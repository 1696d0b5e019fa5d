//! What is done about damage: restored from another copy in the store, or forgotten, so that the next
//! request makes it again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::tree::Entry;

use super::{
    BlobFile, Damage, Finding, Job, Looked, Read, Repair, Subject, Verified, read, read_all,
};
use crate::blobs::size_as_stored;
use crate::changes::Change;
use crate::checkout::{copy_blob, place_blob, stamp_directories};
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::ingest::finish_file;
use crate::layout::{Executable, Variant};
use crate::policy::Item;
use crate::stage::Stage;
use crate::store::Store;
use crate::thing::Thing;

impl Store {
    /// Tells of damaged blobs and of everything that is made of them, and repairs what is to be.
    pub(super) fn blame(
        &self,
        bad: &BTreeSet<BlobFile>,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        if bad.is_empty() {
            return Ok(());
        }
        let mut healed = BTreeSet::new();
        if repair == Repair::Yes {
            for file in bad {
                if self.heal(*file)? {
                    healed.insert(*file);
                }
            }
        }
        for thing in self.all_things(Repair::No, &mut Verified::default())? {
            self.blame_thing(thing, bad, repair, seen)?;
        }
        let removed = match repair {
            Repair::Yes => self.remove_bad(bad.difference(&healed))?,
            Repair::No => BTreeSet::new(),
        };
        for file in bad {
            let (blob, variant) = file;
            let done = match (repair, healed.contains(file), removed.contains(file)) {
                (Repair::No, ..) => "",
                (Repair::Yes, true, _) => "restored",
                (Repair::Yes, false, true) => "removed",
                (Repair::Yes, false, false) => "in use, and left",
            };
            let problem = "it holds other bytes than it should, or has another mode or time";
            let (what, problem) = (blob.to_string(), problem.to_owned());
            let path = Some(self.paths().blob(*blob, *variant));
            seen.find(Finding { what, path, problem, done });
        }
        Ok(())
    }

    /// Removes the files of damaged blobs; blobs that have none then lose their rows, too. What was
    /// made again meanwhile stays, and what somebody is about to use. Returns what is gone.
    fn remove_bad<'b>(
        &self,
        bad: impl Iterator<Item = &'b BlobFile>,
    ) -> Result<BTreeSet<BlobFile>, StoreError> {
        let stage = Stage::new(self.paths())?;
        self.pins.while_still(|is_pinned| {
            let mut removed = BTreeSet::new();
            for (number, file) in bad.enumerate() {
                let path = self.paths().blob(file.0, file.1);
                if is_pinned(file.0) || self.has_sound(*file)? {
                    continue;
                }
                if path.symlink_metadata().is_ok() {
                    disk::rename(&path, &stage.join(&number.to_string()), "move away")?;
                }
                removed.insert(*file);
            }
            let has_file = |blob: &BlobId| {
                Variant::ALL.iter().any(|variant| self.paths().blob(*blob, *variant).exists())
            };
            let blobs: BTreeSet<_> = removed.iter().map(|(blob, _)| *blob).collect();
            let blobs = blobs.into_iter().filter(|blob| !has_file(blob)).collect();
            self.submit("forget damaged blobs", vec![Change::DropBlobs { blobs }])?;
            Ok(removed)
        })
    }

    /// Whether a blob's file is what it should be, now.
    ///
    /// # Errors
    /// [`StoreError::Io`] where this process lacks the means to read it: that is no damage.
    pub(crate) fn has_sound(&self, (blob, variant): BlobFile) -> Result<bool, StoreError> {
        let path = self.paths().blob(blob, variant);
        Ok(size_as_stored(&path, variant).is_some()
            && matches!(read(&Job { path, blob })?, (Read::Right, _)))
    }

    /// Finds the files of a thing that share the damage of a blob.
    fn blame_thing(
        &self,
        thing: Thing,
        bad: &BTreeSet<BlobFile>,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let lease = self.lease(thing);
        let Looked::Sound(subject) = self.look(thing)? else { return Ok(()) };
        let mut jobs = subject.jobs();
        jobs.retain(|(job, variant)| bad.contains(&(job.blob, *variant)));
        let (jobs, variants): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let mut lost = Vec::new();
        let reads = read_all(&jobs, &mut Verified::default())?;
        for ((job, variant), read) in jobs.iter().zip(variants).zip(reads) {
            let Some(problem) = read.problem() else { continue };
            let damage = Damage { path: Some(job.path.clone()), problem };
            if repair == Repair::Yes && self.restore(job, variant, &subject)? {
                seen.find(damage.of(thing, "restored"));
            } else {
                lost.push(damage);
            }
        }
        drop(lease);
        let is_lost = !lost.is_empty() && repair == Repair::Yes;
        let done = if is_lost { self.forget(thing)? } else { "" };
        for damage in lost {
            seen.find(damage.of(thing, done));
        }
        Ok(())
    }

    /// Puts a sound copy in the place of a damaged blob, if there is one in the store.
    fn heal(&self, (blob, variant): BlobFile) -> Result<bool, StoreError> {
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("healed");
        if !self.copy_of((blob, variant), &waiting)? {
            return Ok(false);
        }
        disk::sync(&waiting)?;
        // One that was made again meanwhile stays.
        self.name_blob(&waiting, (blob, variant))?;
        Ok(true)
    }

    /// Puts a sound copy in the place of a damaged file, if there is one in the store; says whether
    /// nothing of `subject` is damaged there any more.
    pub(super) fn restore(
        &self,
        job: &Job,
        variant: Variant,
        subject: &Subject,
    ) -> Result<bool, StoreError> {
        let _keys = self.locks.keys(key_of(subject.thing));
        if self.tree_id(subject.thing)? != Some(subject.tree.id()) {
            // Another one has taken its place meanwhile.
            return Ok(true);
        }
        let dir = job.path.parent().expect("a file lies in a directory");
        disk::set_mode(dir, 0o755)?;
        let is_restored = self.put_back(job, variant, subject.thing)?;
        disk::set_mode(dir, subject.purpose.dir_mode())?;
        disk::set_mtime(dir)?;
        Ok(is_restored)
    }

    /// Makes a file again in a directory that can be written to, if there is a sound copy.
    fn put_back(&self, job: &Job, variant: Variant, thing: Thing) -> Result<bool, StoreError> {
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("restored");
        let file = (job.blob, variant);
        let is_layer = matches!(thing, Thing::Layer(_));
        if job.blob == BlobId::of(b"") {
            let made = disk::create_file(&waiting)?;
            finish_file(&made, variant).at("set the mode and time of", &waiting)?;
        } else if !is_layer && (self.has_sound(file)? || self.heal(file)?) {
            // It becomes a name of its blob again.
            place_blob(self.paths(), job.blob, variant, &waiting)?;
        } else if !self.copy_of(file, &waiting)? {
            return Ok(false);
        }
        disk::sync(&waiting)?;
        disk::rename(&waiting, &job.path, "restore a file in")?;
        Ok(true)
    }

    /// Makes `place` a copy of a blob, with the mode of `variant`, of the first of its files that is
    /// sound; says whether one was. One that cannot be read is none.
    fn copy_of(&self, (blob, variant): BlobFile, place: &Path) -> Result<bool, StoreError> {
        for source in Variant::ALL {
            let from = Job { path: self.paths().blob(blob, source), blob };
            if !matches!(read(&from)?, (Read::Right, _)) {
                continue;
            }
            match copy_blob(&from.path, blob, variant, place) {
                Ok(()) => return Ok(true),
                Err(StoreError::MissingBlob { .. } | StoreError::CorruptBlob { .. }) => {
                    disk::remove_file(place)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Gives a thing the shape that its listing has, as far as there are copies of its files: what a
    /// damage or a repair that was killed has left of it.
    pub(super) fn reshape(&self, thing: Thing) -> Result<(), StoreError> {
        let _keys = self.locks.keys(key_of(thing));
        let Looked::Sound(subject) = self.describe(thing)? else { return Ok(()) };
        let Subject { thing: _, top, purpose, tree } = &subject;
        if !fs::symlink_metadata(top).is_ok_and(|facts| facts.is_dir()) {
            return Ok(());
        }
        disk::set_mode(top, 0o755)?;
        let mut dirs = vec![top.clone()];
        // Parents come first, so that no link is followed to what is not ours.
        for (path, entry) in tree.iter() {
            let place = top.join(path.as_path());
            let facts = fs::symlink_metadata(&place).ok();
            if facts.is_some_and(|facts| facts.is_dir() != (*entry == Entry::Directory)) {
                self.set_aside(&place)?;
            }
            match entry {
                Entry::Directory => {
                    disk::create_dir_if_absent(&place)?;
                    disk::set_mode(&place, 0o755)?;
                    dirs.push(place);
                }
                Entry::Symlink { target } => {
                    disk::remove_file(&place)?;
                    disk::symlink(target, &place)?;
                }
                Entry::File { blob, size, executable } => {
                    let variant = Variant::of(*purpose, Executable::of(*executable));
                    if size_as_stored(&place, variant) != Some(*size) {
                        self.put_back(&Job { path: place, blob: *blob }, variant, thing)?;
                    }
                }
            }
        }
        let listed: BTreeSet<_> = tree.iter().map(|(path, _)| top.join(path.as_path())).collect();
        for dir in dirs {
            for entry in fs::read_dir(&dir).at("list", &dir)? {
                let path = entry.at("list", &dir)?.path();
                if !listed.contains(&path) {
                    self.set_aside(&path)?;
                }
            }
        }
        stamp_directories(tree, top, *purpose)?;
        disk::set_mode(top, purpose.dir_mode())
    }

    /// Forgets something that cannot be restored: the next request makes it again. Says what became of
    /// it.
    pub(super) fn forget(&self, thing: Thing) -> Result<&'static str, StoreError> {
        let aliases = match thing {
            Thing::Output(key) => self.aliases_of(key)?,
            Thing::Layer(_) | Thing::Image(_) => Vec::new(),
        };
        let removed = self.discard(&[Item::Thing(thing, aliases)])?;
        Ok(if removed > 0 { "forgotten" } else { "in use, and left" })
    }
}

/// The key whose holder alone may change a thing; layers and images have none.
fn key_of(thing: Thing) -> Option<BuildKey> {
    match thing {
        Thing::Output(key) => Some(key),
        Thing::Layer(_) | Thing::Image(_) => None,
    }
}
