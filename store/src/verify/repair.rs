//! What is done about damage: restored from another copy in the store, or forgotten, so that the next
//! request makes it again.

use std::collections::BTreeSet;
use std::fs;

use kbs_plan::tree::Entry;

use super::{BlobFile, Damage, Finding, Job, Looked, Repair, Subject, Verified, read_all};
use crate::changes::Change;
use crate::checkout::{copy_blob, place_blob, stamp_directories};
use crate::disk;
use crate::error::StoreError;
use crate::ingest::Stage;
use crate::layout::Variant;
use crate::policy::Item;
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
        let mut gone = BTreeSet::new();
        for (blob, variant) in bad {
            let path = self.paths().blob(*blob, *variant);
            let mut done = "";
            if healed.contains(&(*blob, *variant)) {
                done = "restored";
            } else if repair == Repair::Yes {
                disk::remove_file(&path)?;
                gone.insert(*blob);
                done = "removed";
            }
            let problem = "it holds other bytes than it should, or has another mode or time";
            let (what, problem) = (blob.to_string(), problem.to_owned());
            seen.findings.push(Finding { what, path: Some(path), problem, done });
        }
        // Blobs that lost all their files lose their rows, too.
        gone.retain(|blob| {
            !Variant::ALL.iter().any(|variant| self.paths().blob(*blob, *variant).exists())
        });
        let blobs = gone.into_iter().collect();
        self.submit("forget damaged blobs", vec![Change::DropBlobs { blobs }])
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
                seen.findings.push(damage.of(thing, "restored"));
            } else {
                lost.push(damage);
            }
        }
        drop(lease);
        let is_lost = !lost.is_empty() && repair == Repair::Yes;
        let done = if is_lost { self.forget(thing)? } else { "" };
        seen.findings.extend(lost.into_iter().map(|damage| damage.of(thing, done)));
        Ok(())
    }

    /// Puts a sound copy in the place of a damaged blob, if there is one in the store.
    fn heal(&self, (blob, variant): BlobFile) -> Result<bool, StoreError> {
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("healed");
        let others = Variant::ALL.into_iter().filter(|other| *other != variant);
        if !self.copy_of((blob, variant), others, &waiting)? {
            return Ok(false);
        }
        let path = self.paths().blob(blob, variant);
        disk::settle(self.paths().root(), &[waiting.clone()].into())?;
        disk::rename(&waiting, &path, "restore a blob in")?;
        Ok(true)
    }

    /// Puts a sound copy in the place of a damaged file, if there is one in the store.
    pub(super) fn restore(
        &self,
        job: &Job,
        variant: Variant,
        subject: &Subject,
    ) -> Result<bool, StoreError> {
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("restored");
        let file = (job.blob, variant);
        if !self.copy_of(file, Variant::ALL, &waiting)? {
            return Ok(false);
        }
        let is_layer = matches!(subject.thing, Thing::Layer(_));
        if !is_layer && self.copy_of(file, [variant], &stage.join("probe"))? {
            // The blob is sound, and the file becomes one of its names again.
            disk::remove_file(&waiting)?;
            place_blob(self.paths(), job.blob, variant, &waiting)?;
        }
        disk::settle(self.paths().root(), &[waiting.clone()].into())?;
        let dir = job.path.parent().expect("a file lies in a directory");
        disk::set_mode(dir, 0o755)?;
        disk::rename(&waiting, &job.path, "restore a file in")?;
        disk::set_mode(dir, subject.purpose.dir_mode())?;
        disk::set_mtime(dir)?;
        Ok(true)
    }

    /// Makes `place` a copy of a blob, with the mode of `variant`, of the first of `sources` that is
    /// sound; says whether one was.
    fn copy_of(
        &self,
        (blob, variant): BlobFile,
        sources: impl IntoIterator<Item = Variant>,
        place: &std::path::Path,
    ) -> Result<bool, StoreError> {
        for source in sources {
            match copy_blob(&self.paths().blob(blob, source), blob, variant, place) {
                Ok(()) => return Ok(true),
                Err(StoreError::MissingBlob { .. } | StoreError::CorruptBlob { .. }) => {
                    disk::remove_file(place)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Gives the directories of a thing their modes and times again, which a repair that was killed has
    /// left as it needed them; says whether they are all there.
    pub(super) fn restamp(&self, thing: Thing) -> Result<bool, StoreError> {
        let Looked::Sound(Subject { thing: _, top, purpose, tree }) = self.describe(thing)? else {
            return Ok(false);
        };
        // Parents come first, so that no link is followed to what is not ours.
        let below = tree.iter().filter(|(_, entry)| **entry == Entry::Directory);
        let mut dirs =
            [top.clone()].into_iter().chain(below.map(|(path, _)| top.join(path.as_path())));
        if !dirs.all(|dir| fs::symlink_metadata(dir).is_ok_and(|facts| facts.is_dir())) {
            return Ok(false);
        }
        stamp_directories(&tree, &top, purpose)?;
        disk::set_mode(&top, purpose.dir_mode())?;
        Ok(true)
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
