//! Compares everything in the store with what its rows promise, down to the last byte.

mod index;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use kbs_plan::id::BlobId;
use kbs_plan::tree::{Entry, Tree};
use redb::ReadableTable as _;

use crate::blobs::hash_of;
use crate::changes::Change;
use crate::check::{Depth, Extent, Listed, find_damage};
use crate::error::StoreError;
use crate::index::IndexRow;
use crate::layout::{Executable, MTIME, Purpose, Variant};
use crate::parallel;
use crate::store::Store;
use crate::tables::OUTPUTS;
use crate::thing::Thing;

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// So many outputs, layers, images and blobs, others each time.
    Sample(u64),
}

/// What becomes of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It is told.
    No,
    /// It is restored from another copy in the store where there is one; what cannot be restored is
    /// forgotten, so that the next request makes it again.
    Yes,
}

/// Something that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, as text: `key:…`, `layer:…`, `sha256:…`, `blob:…`, or a file below the state
    /// directory.
    pub what: String,
    /// The file or directory, where it is one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub problem: String,
    /// What was done about it; empty where nothing was.
    pub done: String,
}

/// What a comparison saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of outputs, layers and images.
    pub things: u64,
    /// Number of files whose bytes were read.
    pub files: u64,
    /// Bytes that were read.
    pub read_b: u64,
    /// What was wrong.
    pub findings: Vec<Finding>,
}

/// So many things are compared at a time.
const TOGETHER: usize = 512;

/// A file whose bytes are to be read.
struct Job {
    path: PathBuf,
    blob: BlobId,
    /// What it belongs to, by number; a blob's own file belongs to nothing else.
    owner: Option<usize>,
}

/// One thing that is compared.
struct Subject {
    thing: Thing,
    top: PathBuf,
    purpose: Purpose,
    tree: Tree,
}

impl Store {
    /// Compares what `scope` says with what the rows promise. Things that come or go meanwhile are left
    /// out. `progress` is called now and then on the calling thread, and ends the work with `false`.
    ///
    /// # Errors
    /// [`StoreError`] where the comparison itself cannot be made; what is wrong is a [`Finding`].
    pub fn verify(
        &self,
        scope: Scope,
        repair: Repair,
        progress: &mut dyn FnMut(&Verified) -> bool,
    ) -> Result<Verified, StoreError> {
        let mut seen = Verified::default();
        if scope == Scope::Whole {
            self.verify_database(&mut seen)?;
        }
        let mut things = self.all_things(&mut seen, repair)?;
        if let Scope::Sample(count) = scope {
            things = self.sample(things, count);
        }
        let mut bad_blobs = BTreeSet::new();
        for things in things.chunks(TOGETHER) {
            self.verify_things(things, (scope, repair), &mut bad_blobs, &mut seen)?;
            if !progress(&seen) {
                return Ok(seen);
            }
        }
        if !self.verify_blobs(scope, &mut bad_blobs, &mut seen, progress)? {
            return Ok(seen);
        }
        self.blame(&bad_blobs, repair, &mut seen)?;
        if scope == Scope::Whole {
            self.verify_logs(repair, &mut seen)?;
            self.verify_roots(&mut seen);
        }
        progress(&seen);
        Ok(seen)
    }

    /// Every output, layer and image that has a row of a known form.
    fn all_things(&self, seen: &mut Verified, repair: Repair) -> Result<Vec<Thing>, StoreError> {
        let mut things = Vec::new();
        let mut unreadable = Vec::new();
        self.db.read("list everything", |txn| {
            for row in txn.open_table(OUTPUTS)?.iter()? {
                let (key, bytes) = row?;
                match IndexRow::decode(bytes.value()) {
                    Ok(_) => things.push(Thing::Output(key.value())),
                    Err(error) => unreadable.push((key.value(), error.to_string())),
                }
            }
            Ok(())
        })?;
        for (key, error) in unreadable {
            let mut finding = Finding {
                what: key.to_string(),
                path: None,
                problem: format!("its row cannot be read: {error}"),
                done: String::new(),
            };
            if repair == Repair::Yes {
                self.submit("forget an output", vec![Change::DropOutput { key }])?;
                "forgotten".clone_into(&mut finding.done);
            }
            seen.findings.push(finding);
        }
        things.extend(self.tree_rows()?.into_iter().map(|(thing, _)| thing));
        Ok(things)
    }

    /// Some of many: others each time, all alike.
    fn sample<T>(&self, mut all: Vec<T>, count: u64) -> Vec<T> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(all.len());
        for place in 0..count {
            let turn = self.looks.fetch_add(1, Ordering::Relaxed);
            let mixed = BlobId::of(&turn.to_le_bytes());
            let mixed = u64::from_le_bytes(*mixed.as_bytes().first_chunk().expect("it has 32"));
            let rest = all.len() - place;
            let other = place + usize::try_from(mixed % rest as u64).unwrap_or(0);
            all.swap(place, other);
        }
        all.truncate(count);
        all
    }

    fn verify_things(
        &self,
        things: &[Thing],
        (scope, repair): (Scope, Repair),
        bad_blobs: &mut BTreeSet<(BlobId, Variant)>,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        // Nothing of it is collected while we look.
        let leases: Vec<_> = things.iter().map(|thing| self.lease(*thing)).collect();
        let mut damaged: BTreeMap<Thing, (Option<PathBuf>, String)> = BTreeMap::new();
        let mut subjects = Vec::new();
        let mut jobs = Vec::new();
        for thing in things {
            match self.subject(*thing)? {
                Ok(Some(subject)) => {
                    self.list_jobs(&subject, subjects.len(), scope, &mut jobs);
                    subjects.push(subject);
                }
                Ok(None) => {}
                Err((path, problem)) => {
                    damaged.insert(*thing, (path, problem));
                }
            }
        }
        seen.things += things.len() as u64;
        let hashed = Self::hash(&jobs, seen)?;
        for (job, problem) in jobs.iter().zip(hashed) {
            let (Some(problem), Some(owner)) = (problem, job.owner) else { continue };
            let subject = &subjects[owner];
            if let Some(variant) = self.variant_of(job, subject) {
                bad_blobs.insert((job.blob, variant));
            }
            if repair == Repair::Yes && self.restore(job, subject)? {
                seen.findings.push(finding(subject.thing, Some(&job.path), &problem, "restored"));
                continue;
            }
            damaged.entry(subject.thing).or_insert((Some(job.path.clone()), problem));
        }
        drop(leases);
        for (thing, (path, problem)) in damaged {
            let done = if repair == Repair::Yes { self.forget(thing)? } else { "" };
            seen.findings.push(finding(thing, path.as_deref(), &problem, done));
        }
        Ok(())
    }

    /// A thing with its listing, if its directory has the right shape.
    #[expect(
        clippy::type_complexity,
        reason = "an error of ours, or of the thing, or nothing there"
    )]
    fn subject(
        &self,
        thing: Thing,
    ) -> Result<Result<Option<Subject>, (Option<PathBuf>, String)>, StoreError> {
        let layout = self.paths();
        let meta = layout.meta_of(thing);
        let (top, purpose, tree) = match thing {
            Thing::Output(key) => {
                let Some(row) = self.lookup(key)? else { return Ok(Ok(None)) };
                let read = self.read_meta(key, &row);
                let tree = match read {
                    Ok(read) => read.tree,
                    Err(problem) => return Ok(Err((Some(meta), problem))),
                };
                if row.stored_as != key {
                    let base = self.lookup(row.stored_as)?;
                    let is_sound = base.is_some_and(|base| base.tree == row.tree);
                    let problem = || (None, format!("{}, which it equals, is gone", row.stored_as));
                    return Ok(if is_sound { Ok(None) } else { Err(problem()) });
                }
                (layout.output(row.stored_as, &row.stored_name), Purpose::Output, tree)
            }
            Thing::Layer(name) => match self.listed(thing)? {
                Some(Ok(tree)) => (layout.layer(name), Purpose::Source, tree),
                Some(Err(problem)) => return Ok(Err((Some(meta), problem))),
                None => return Ok(Ok(None)),
            },
            Thing::Image(name) => match self.listed(thing)? {
                Some(Ok(tree)) => (layout.rootfs(name), Purpose::Source, tree),
                Some(Err(problem)) => return Ok(Err((Some(meta), problem))),
                None => return Ok(Ok(None)),
            },
        };
        let listed: Vec<Listed<'_>> = tree.iter().collect();
        match find_damage(&top, &listed, (purpose, Extent::Whole), Depth::Shape) {
            Ok(None) => Ok(Ok(Some(Subject { thing, top, purpose, tree }))),
            Ok(Some(problem)) => Ok(Err((Some(top), problem))),
            Err(source) => Err(StoreError::Io { action: "look at", path: top, source }),
        }
    }

    /// The listing of a layer or an image, or what is wrong with it.
    fn listed(&self, thing: Thing) -> Result<Option<Result<Tree, String>>, StoreError> {
        match self.listing(thing) {
            Ok(listing) => Ok(listing.map(Ok)),
            Err(StoreError::Meta { reason, .. }) => Ok(Some(Err(reason))),
            Err(StoreError::Row { source, .. }) => {
                Ok(Some(Err(format!("its row cannot be read: {source}"))))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the files of a thing that have to be read. When everything is compared, those that are
    /// names of their blob's file are left to that.
    fn list_jobs(&self, subject: &Subject, number: usize, scope: Scope, jobs: &mut Vec<Job>) {
        for (path, entry) in subject.tree.iter() {
            let Entry::File { blob, executable, .. } = entry else { continue };
            let path = subject.top.join(path.as_path());
            let variant = Variant::of(subject.purpose, Executable::of(*executable));
            let anchor = self.paths().blob(*blob, variant);
            if scope != Scope::Whole || !is_one_file(&path, &anchor) {
                jobs.push(Job { path, blob: *blob, owner: Some(number) });
            }
        }
    }

    /// The variant whose file this file is a name of.
    fn variant_of(&self, job: &Job, subject: &Subject) -> Option<Variant> {
        let path = job.path.strip_prefix(&subject.top).ok()?;
        let (_, entry) = subject.tree.iter().find(|(listed, _)| listed.as_path() == path)?;
        let Entry::File { executable, .. } = entry else { return None };
        let variant = Variant::of(subject.purpose, Executable::of(*executable));
        is_one_file(&job.path, &self.paths().blob(job.blob, variant)).then_some(variant)
    }

    /// Reads files; says of each what is wrong with it. One that is gone meanwhile is not wrong if
    /// nothing owns it.
    fn hash(jobs: &[Job], seen: &mut Verified) -> Result<Vec<Option<String>>, StoreError> {
        let results = parallel::for_each(jobs.len(), &|number| {
            let Job { path, blob, owner } = &jobs[number];
            let read = File::open(path).and_then(|mut file| {
                let size_b = file.metadata()?.len();
                Ok((hash_of(&mut file)?, size_b))
            });
            Ok(match read {
                Ok((found, size_b)) if found == *blob => (None, size_b),
                Ok((_, size_b)) => (Some("it holds other bytes than it should".to_owned()), size_b),
                Err(error) if error.kind() == io::ErrorKind::NotFound && owner.is_none() => {
                    (None, 0)
                }
                Err(error) => match error.raw_os_error() {
                    // The means to look, not what is looked at.
                    Some(12 | 23 | 24) => {
                        let (action, path) = ("read", path.clone());
                        return Err(StoreError::Io { action, path, source: error });
                    }
                    _ => (Some(format!("it cannot be read: {error}")), 0),
                },
            })
        })?;
        seen.files += results.len() as u64;
        seen.read_b += results.iter().map(|(_, size_b)| size_b).sum::<u64>();
        Ok(results.into_iter().map(|(problem, _)| problem).collect())
    }

    /// Reads the files of all blobs, or of some; says whether to go on.
    fn verify_blobs(
        &self,
        scope: Scope,
        bad: &mut BTreeSet<(BlobId, Variant)>,
        seen: &mut Verified,
        progress: &mut dyn FnMut(&Verified) -> bool,
    ) -> Result<bool, StoreError> {
        let mut files = Vec::new();
        self.each_blob_file(&mut |blob, variant, path| {
            files.push((blob, variant, path.to_owned()));
            Ok(())
        })?;
        if let Scope::Sample(count) = scope {
            files = self.sample(files, count);
        } else {
            self.verify_blob_rows(&files.iter().map(|(blob, ..)| *blob).collect(), seen)?;
        }
        for files in files.chunks(TOGETHER) {
            let jobs: Vec<_> = files
                .iter()
                .map(|(blob, _, path)| Job { path: path.clone(), blob: *blob, owner: None })
                .collect();
            let problems = Self::hash(&jobs, seen)?;
            for ((blob, variant, path), problem) in files.iter().zip(problems) {
                let problem = problem.or_else(|| wrong_facts(path, *variant));
                if problem.is_some() {
                    bad.insert((*blob, *variant));
                }
            }
            if !progress(seen) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn finding(thing: Thing, path: Option<&Path>, problem: &str, done: &str) -> Finding {
    Finding {
        what: thing.to_string(),
        path: path.map(Path::to_owned),
        problem: problem.to_owned(),
        done: done.to_owned(),
    }
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    let facts = |path| fs::symlink_metadata(path).map(|facts| (facts.dev(), facts.ino()));
    matches!((facts(one), facts(other)), (Ok(one), Ok(other)) if one == other)
}

/// What is wrong with the mode or time of a blob's file.
fn wrong_facts(path: &Path, variant: Variant) -> Option<String> {
    let facts = fs::symlink_metadata(path).ok()?;
    let is_right = facts.is_file()
        && facts.mode() & 0o7777 == variant.mode
        && (facts.mtime(), facts.mtime_nsec()) == MTIME;
    (!is_right).then(|| "its mode or time has changed".to_owned())
}
