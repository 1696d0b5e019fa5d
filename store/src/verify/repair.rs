//! What is done about damage: restored from another copy in the store, or forgotten, so that the next
//! request makes it again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::tree::Entry;

use super::{Finding, Job, Repair, Scope, Subject, Verified, finding};
use crate::changes::Change;
use crate::checkout::{copy_blob, place_blob, stamp_directories};
use crate::disk;
use crate::error::StoreError;
use crate::ingest::Stage;
use crate::layout::{Purpose, Variant};
use crate::policy::Item;
use crate::store::Store;
use crate::thing::Thing;

impl Store {
    /// Tells of damaged blobs and of everything that is made of them.
    pub(super) fn blame(
        &self,
        bad: &BTreeSet<(BlobId, Variant)>,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        if bad.is_empty() {
            return Ok(());
        }
        let mut healed = BTreeSet::new();
        for (blob, variant) in bad {
            let path = self.paths().blob(*blob, *variant);
            if repair == Repair::Yes && self.heal(*blob, *variant, &path)? {
                healed.insert((*blob, *variant));
            }
        }
        let known: BTreeSet<_> = seen.findings.iter().map(|finding| finding.what.clone()).collect();
        for thing in self.all_things(&mut Verified::default(), Repair::No)? {
            let Ok(Some(subject)) = self.subject(thing)? else { continue };
            let mut jobs = Vec::new();
            self.list_jobs(&subject, 0, Scope::Sample(0), &mut jobs);
            jobs.retain(|job| bad.iter().any(|(blob, _)| *blob == job.blob));
            let problems = Self::hash(&jobs, &mut Verified::default())?;
            let mut lost = false;
            for (job, problem) in jobs.iter().zip(problems) {
                let Some(problem) = problem else { continue };
                let done = if repair == Repair::Yes && self.restore(job, &subject)? {
                    "restored"
                } else {
                    lost = true;
                    ""
                };
                if !known.contains(&thing.to_string()) || done == "restored" {
                    seen.findings.push(finding(thing, Some(&job.path), &problem, done));
                }
            }
            if lost && repair == Repair::Yes {
                let done = self.forget(thing)?;
                let what = thing.to_string();
                for finding in &mut seen.findings {
                    if finding.what == what && finding.done.is_empty() {
                        done.clone_into(&mut finding.done);
                    }
                }
            }
        }
        for (blob, variant) in bad {
            let path = self.paths().blob(*blob, *variant);
            let done = if healed.contains(&(*blob, *variant)) {
                "restored"
            } else if repair == Repair::Yes {
                disk::remove_file(&path)?;
                "removed"
            } else {
                ""
            };
            seen.findings.push(Finding {
                what: blob.to_string(),
                path: Some(path),
                problem: "it holds other bytes than it should, or is not as it was stored"
                    .to_owned(),
                done: done.to_owned(),
            });
        }
        if repair == Repair::Yes {
            // Blobs that lost all their files lose their rows, too.
            let blobs: BTreeSet<_> = bad.iter().map(|(blob, _)| *blob).collect();
            let gone = blobs.into_iter().filter(|blob| {
                !Variant::ALL.iter().any(|variant| self.paths().blob(*blob, *variant).exists())
            });
            let change = Change::DropBlobs { blobs: gone.collect() };
            self.submit("forget damaged blobs", vec![change])?;
        }
        Ok(())
    }

    /// Puts a sound copy in the place of a damaged blob, if there is one in the store.
    fn heal(&self, blob: BlobId, variant: Variant, path: &Path) -> Result<bool, StoreError> {
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("healed");
        for other in Variant::ALL.into_iter().filter(|other| *other != variant) {
            let from = self.paths().blob(blob, other);
            match copy_blob(&from, blob, variant, &waiting) {
                Ok(()) => {
                    disk::settle(self.paths().root(), &[waiting.clone()].into())?;
                    disk::rename(&waiting, path, "restore a blob in")?;
                    return Ok(true);
                }
                Err(StoreError::MissingBlob { .. } | StoreError::CorruptBlob { .. }) => {
                    disk::remove_file(&waiting)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Puts a sound copy in the place of a damaged file of a thing, if there is one in the store.
    pub(super) fn restore(&self, job: &Job, subject: &Subject) -> Result<bool, StoreError> {
        let mode = fs::symlink_metadata(&job.path).map(|facts| facts.mode() & 0o7777);
        let variant = Variant::ALL.into_iter().find(|v| mode.as_ref().is_ok_and(|m| *m == v.mode));
        let Some(variant) = variant else { return Ok(false) };
        let anchor = self.paths().blob(job.blob, variant);
        let stage = Stage::new(self.paths())?;
        let waiting = stage.join("restored");
        let sound =
            [variant].into_iter().chain(Variant::ALL).map(|v| self.paths().blob(job.blob, v));
        for from in sound {
            match copy_blob(&from, job.blob, variant, &waiting) {
                Ok(()) => {}
                Err(StoreError::MissingBlob { .. } | StoreError::CorruptBlob { .. }) => {
                    disk::remove_file(&waiting)?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if from == anchor && subject.purpose == Purpose::Output {
                // The blob is sound: the file becomes one of its names again.
                disk::remove_file(&waiting)?;
                place_blob(self.paths(), job.blob, variant, &waiting)?;
            }
            disk::settle(self.paths().root(), &[waiting.clone()].into())?;
            let dir = job.path.parent().expect("a file lies in a directory");
            disk::set_mode(dir, 0o755)?;
            disk::rename(&waiting, &job.path, "restore a file in")?;
            disk::set_mode(dir, subject.purpose.dir_mode())?;
            disk::set_mtime(dir)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Gives the directories of a thing their modes and times again, which a repair that was killed has
    /// left as it needed them; says whether they are all there.
    pub(super) fn restamp(&self, thing: Thing) -> Result<bool, StoreError> {
        let Ok(Some(Subject { thing: _, top, purpose, tree })) = self.described(thing)? else {
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

    /// Forgets something that cannot be restored: the next request makes it again.
    pub(super) fn forget(&self, thing: Thing) -> Result<&'static str, StoreError> {
        let aliases = match thing {
            Thing::Output(key) => self.aliases_of(key)?,
            Thing::Layer(_) | Thing::Image(_) => Vec::new(),
        };
        let removed = self.discard(&[Item::Thing(thing, aliases)])?;
        Ok(if removed > 0 { "forgotten" } else { "in use, and left" })
    }

    fn aliases_of(&self, key: BuildKey) -> Result<Vec<BuildKey>, StoreError> {
        let mut aliases = Vec::new();
        self.each_output(&mut |alias, row| {
            if row.stored_as == key && alias != key {
                aliases.push(alias);
            }
        })?;
        Ok(aliases)
    }
}
