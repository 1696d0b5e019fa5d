//! Compares everything in the store with what its rows promise, down to the last byte.

mod index;
mod repair;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use kbs_plan::id::BlobId;
use kbs_plan::tree::{Entry, Tree};
use redb::ReadableTable as _;

use crate::blobs::{hash_of_about, is_as_stored};
use crate::changes::Change;
use crate::check::{Depth, Extent, Listed, find_damage};
use crate::error::{At as _, StoreError, lacks_means};
use crate::index::{IndexRow, TreeRow};
use crate::layout::{Executable, Purpose, Variant};
use crate::parallel;
use crate::row::RowError;
use crate::store::Store;
use crate::tables::{IMAGES, LAYERS, OUTPUTS};
use crate::thing::Thing;

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// So many outputs, layers and images, and so many blobs, others each time.
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
    /// What it is, as text: `key:…`, `layer:…`, `sha256:…`, `blob:…`, or a name in the state
    /// directory.
    pub what: String,
    /// The file or directory, where it is one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub problem: String,
    /// What was done about it; empty where nothing was.
    pub done: &'static str,
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
    /// What was wrong: the first [`FINDINGS_MAX`], and a last one that counts the others.
    pub findings: Vec<Finding>,
    /// Number of findings that are not among these.
    untold: u64,
}

/// So many findings are told: a disk that lost everything is told without being listed.
pub const FINDINGS_MAX: usize = 10_000;

impl Verified {
    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.untold += 1;
        }
    }

    /// Counts what was not told.
    fn end(mut self) -> Self {
        if self.untold > 0 {
            let what = "everything".to_owned();
            let problem =
                format!("{} more are wrong; look again once these are mended", self.untold);
            self.findings.push(Finding { what, path: None, problem, done: "" });
        }
        self
    }
}

/// So many things, or files, are compared at a time.
const TOGETHER: usize = 512;

/// What a look at one thing finds, before any byte of its files is read.
enum Looked {
    /// It went away meanwhile, or its files are another output's.
    Nothing,
    /// It has the right shape.
    Sound(Subject),
    Damaged(Damage),
}

/// What is wrong with a thing, and with which file of it.
struct Damage {
    path: Option<PathBuf>,
    problem: String,
}

/// A thing whose files are read.
struct Subject {
    thing: Thing,
    top: PathBuf,
    purpose: Purpose,
    tree: Tree,
}

/// A file whose bytes are read.
struct Job {
    path: PathBuf,
    blob: BlobId,
}

/// What reading a file showed.
enum Read {
    Right,
    Gone,
    Wrong(String),
}

/// The file of a blob, by its name.
type BlobFile = (BlobId, Variant);

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
            self.verify_index(&mut seen)?;
        }
        let mut things = self.all_things(repair, &mut seen)?;
        if let Scope::Sample(count) = scope {
            let mut sample = Sample::of(count);
            for thing in things {
                sample.offer(thing, |bound| self.draw(bound));
            }
            things = sample.kept;
        }
        for things in things.chunks(TOGETHER) {
            // Nothing of it is collected while we look.
            let leases: Vec<_> = things.iter().map(|thing| self.lease(*thing)).collect();
            let mut damaged = Vec::new();
            for thing in things {
                self.verify_thing(*thing, (scope, repair), &mut damaged, &mut seen)?;
            }
            drop(leases);
            for (thing, damage) in damaged {
                let done = if repair == Repair::Yes { self.forget(thing)? } else { "" };
                seen.find(damage.of(thing, done));
            }
            if !progress(&seen) {
                return Ok(seen.end());
            }
        }
        let Some(bad) = self.bad_blobs(scope, &mut seen, progress)? else { return Ok(seen.end()) };
        self.blame(&bad, repair, &mut seen)?;
        if scope == Scope::Whole {
            self.verify_logs(repair, &mut seen)?;
            self.verify_roots(&mut seen)?;
        }
        progress(&seen);
        Ok(seen.end())
    }

    /// Every output, layer and image that has a row of a known form.
    fn all_things(&self, repair: Repair, seen: &mut Verified) -> Result<Vec<Thing>, StoreError> {
        let mut things = Vec::new();
        let mut unreadable = Vec::new();
        self.db.read("list everything", |txn| {
            let mut sort = |thing, error: Option<RowError>| match error {
                None => things.push(thing),
                Some(error) => unreadable.push((thing, error)),
            };
            for row in txn.open_table(OUTPUTS)?.iter()? {
                let (key, bytes) = row?;
                sort(Thing::Output(key.value()), IndexRow::decode(bytes.value()).err());
            }
            for row in txn.open_table(LAYERS)?.iter()? {
                let (name, bytes) = row?;
                sort(Thing::Layer(*name.value()), TreeRow::decode(bytes.value()).err());
            }
            for row in txn.open_table(IMAGES)?.iter()? {
                let (name, bytes) = row?;
                sort(Thing::Image(*name.value()), TreeRow::decode(bytes.value()).err());
            }
            Ok(())
        })?;
        for (thing, error) in unreadable {
            let damage = Damage { path: None, problem: format!("its row cannot be read: {error}") };
            let mut done = "";
            if repair == Repair::Yes {
                let change = match thing {
                    Thing::Output(key) => Change::DropOutput { key },
                    Thing::Layer(_) | Thing::Image(_) => Change::DropTree { thing },
                };
                self.submit("forget a row", vec![change])?;
                done = "forgotten";
            }
            seen.find(damage.of(thing, done));
        }
        Ok(things)
    }

    /// A number that is another one each time, below `bound`.
    fn draw(&self, bound: usize) -> usize {
        let turn = self.looks.fetch_add(1, Ordering::Relaxed);
        let mixed = BlobId::of(&turn.to_le_bytes());
        let mixed = u64::from_le_bytes(*mixed.as_bytes().first_chunk().expect("it has 32"));
        usize::try_from(mixed % bound.max(1) as u64).unwrap_or(0)
    }

    /// Compares one thing. Where everything is compared, files that are names of their blob's file are
    /// left to the comparison of the blobs.
    fn verify_thing(
        &self,
        thing: Thing,
        (scope, repair): (Scope, Repair),
        damaged: &mut Vec<(Thing, Damage)>,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        seen.things += 1;
        let subject = match self.look(thing)? {
            Looked::Nothing => return Ok(()),
            Looked::Sound(subject) => subject,
            Looked::Damaged(damage) => {
                let mended = match repair {
                    Repair::Yes => self.reshape(thing).and_then(|()| self.look(thing))?,
                    Repair::No => Looked::Nothing,
                };
                let Looked::Sound(subject) = mended else {
                    damaged.push((thing, damage));
                    return Ok(());
                };
                seen.find(damage.of(thing, "restored"));
                subject
            }
        };
        let mut jobs = subject.jobs();
        if scope == Scope::Whole {
            jobs.retain(|(job, variant)| {
                !is_one_file(&job.path, &self.paths().blob(job.blob, *variant))
            });
        }
        let (jobs, variants): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let mut lost = None;
        for ((job, variant), read) in jobs.iter().zip(variants).zip(read_all(&jobs, seen)?) {
            let Some(problem) = read.problem() else { continue };
            let damage = Damage { path: Some(job.path.clone()), problem };
            if repair == Repair::Yes && self.restore(job, variant, &subject)? {
                seen.find(damage.of(thing, "restored"));
            } else {
                lost.get_or_insert(damage);
            }
        }
        damaged.extend(lost.map(|damage| (thing, damage)));
        Ok(())
    }

    /// Looks at a thing's listing and at the shape of its directory.
    fn look(&self, thing: Thing) -> Result<Looked, StoreError> {
        let subject = match self.describe(thing)? {
            Looked::Sound(subject) => subject,
            other => return Ok(other),
        };
        let listed: Vec<Listed<'_>> = subject.tree.iter().collect();
        let how = (subject.purpose, Extent::Whole);
        match find_damage(&subject.top, &listed, how, Depth::Shape) {
            Ok(None) => Ok(Looked::Sound(subject)),
            Ok(Some(problem)) => Ok(Looked::Damaged(Damage { path: Some(subject.top), problem })),
            Err(source) => Err(StoreError::Io { action: "look at", path: subject.top, source }),
        }
    }

    /// Reads a thing's listing, whatever its directory holds.
    fn describe(&self, thing: Thing) -> Result<Looked, StoreError> {
        let layout = self.paths();
        let damaged = |path, problem| Ok(Looked::Damaged(Damage { path, problem }));
        let (top, purpose) = match thing {
            Thing::Output(key) => {
                let Some(row) = self.lookup(key)? else { return Ok(Looked::Nothing) };
                let tree = match self.read_meta(key, &row)? {
                    Ok(meta) => meta.tree,
                    Err(problem) => return damaged(Some(layout.meta(key)), problem),
                };
                if row.stored_as != key {
                    let base = self.lookup(row.stored_as)?;
                    if base.is_some_and(|base| base.tree == row.tree) {
                        return Ok(Looked::Nothing);
                    }
                    return damaged(None, format!("{}, which it equals, is gone", row.stored_as));
                }
                let top = layout.output(row.stored_as, &row.stored_name);
                return Ok(Looked::Sound(Subject { thing, top, purpose: Purpose::Output, tree }));
            }
            Thing::Layer(name) => (layout.layer(name), Purpose::Source),
            Thing::Image(name) => (layout.rootfs(name), Purpose::Source),
        };
        match self.listing(thing) {
            Ok(Some(tree)) => Ok(Looked::Sound(Subject { thing, top, purpose, tree })),
            Ok(None) => Ok(Looked::Nothing),
            Err(StoreError::Meta { reason, path }) => damaged(Some(path), reason),
            Err(StoreError::Row { source, .. }) => {
                damaged(None, format!("its row cannot be read: {source}"))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the files of all blobs, or of some; `None` where that is to end.
    fn bad_blobs(
        &self,
        scope: Scope,
        seen: &mut Verified,
        progress: &mut dyn FnMut(&Verified) -> bool,
    ) -> Result<Option<BTreeSet<BlobFile>>, StoreError> {
        let mut bad = BTreeSet::new();
        let mut goes_on = true;
        match scope {
            // Never all names at a time: there may be millions.
            Scope::Whole => {
                let mut files = Vec::with_capacity(TOGETHER);
                self.each_blob_file(&mut |blob, variant, _| {
                    files.push((blob, variant));
                    if goes_on && files.len() == TOGETHER {
                        self.read_blobs(&files, &mut bad, seen)?;
                        goes_on = progress(seen);
                        files.clear();
                    }
                    Ok(())
                })?;
                if goes_on {
                    self.read_blobs(&files, &mut bad, seen)?;
                    goes_on = progress(seen);
                }
            }
            Scope::Sample(count) => {
                let mut sample = Sample::of(count);
                self.each_blob_file(&mut |blob, variant, _| {
                    sample.offer((blob, variant), |bound| self.draw(bound));
                    Ok(())
                })?;
                for files in sample.kept.chunks(TOGETHER) {
                    self.read_blobs(files, &mut bad, seen)?;
                    goes_on = goes_on && progress(seen);
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Ok(goes_on.then_some(bad))
    }

    /// Reads the files of blobs, and adds those that are not what they should be.
    fn read_blobs(
        &self,
        files: &[BlobFile],
        bad: &mut BTreeSet<BlobFile>,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let job = |(blob, variant): &BlobFile| Job {
            path: self.paths().blob(*blob, *variant),
            blob: *blob,
        };
        let jobs: Vec<_> = files.iter().map(job).collect();
        for ((file, job), read) in files.iter().zip(&jobs).zip(read_all(&jobs, seen)?) {
            let is_bad = match read {
                Read::Right => match fs::symlink_metadata(&job.path) {
                    Ok(found) => !is_as_stored(&found, file.1),
                    // Collected meanwhile.
                    Err(error) => error.kind() != io::ErrorKind::NotFound,
                },
                Read::Gone => false,
                Read::Wrong(_) => true,
            };
            if is_bad {
                bad.insert(*file);
            }
        }
        Ok(())
    }
}

/// Some of many that come one after the other, all alike.
struct Sample<T> {
    count: usize,
    offered: usize,
    kept: Vec<T>,
}

impl<T> Sample<T> {
    fn of(count: u64) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Self { count, offered: 0, kept: Vec::new() }
    }

    /// Takes one more, or not; `draw` gives a number below its argument.
    fn offer(&mut self, one: T, draw: impl FnOnce(usize) -> usize) {
        self.offered += 1;
        if self.kept.len() < self.count {
            self.kept.push(one);
            return;
        }
        // The last of so many is among the kept as often as each before it.
        if let Some(place) = self.kept.get_mut(draw(self.offered)) {
            *place = one;
        }
    }
}

impl Damage {
    fn of(self, thing: Thing, done: &'static str) -> Finding {
        let Self { path, problem } = self;
        Finding { what: thing.to_string(), path, problem, done }
    }
}

impl Subject {
    /// Its files, each with the variant of its blob that it may be a name of.
    fn jobs(&self) -> Vec<(Job, Variant)> {
        let job = |(path, entry): (&kbs_plan::path::RelPath, &Entry)| {
            let Entry::File { blob, executable, size: _ } = entry else { return None };
            let variant = Variant::of(self.purpose, Executable::of(*executable));
            Some((Job { path: self.top.join(path.as_path()), blob: *blob }, variant))
        };
        self.tree.iter().filter_map(job).collect()
    }
}

impl Read {
    fn problem(self) -> Option<String> {
        match self {
            Self::Right => None,
            Self::Gone => Some("it is gone".to_owned()),
            Self::Wrong(problem) => Some(problem),
        }
    }
}

/// Reads files with all processors and compares each with its blob's name.
///
/// # Errors
/// Only where this process lacks the means to look.
fn read_all(jobs: &[Job], seen: &mut Verified) -> Result<Vec<Read>, StoreError> {
    let results = parallel::for_each(jobs.len(), &|number| read(&jobs[number]))?;
    seen.files += results.len() as u64;
    seen.read_b += results.iter().map(|(_, size_b)| size_b).sum::<u64>();
    Ok(results.into_iter().map(|(read, _)| read).collect())
}

/// Reads a file and compares it with its blob's name; says how many bytes it has.
///
/// # Errors
/// As [`read_all`].
fn read(Job { path, blob }: &Job) -> Result<(Read, u64), StoreError> {
    let read = File::open(path).and_then(|mut file| {
        let size_b = file.metadata()?.len();
        Ok((hash_of_about(&mut file, size_b)?, size_b))
    });
    match read {
        Ok((found, size_b)) if found == *blob => Ok((Read::Right, size_b)),
        Ok((_, size_b)) => {
            Ok((Read::Wrong("it holds other bytes than it should".to_owned()), size_b))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Read::Gone, 0)),
        Err(error) if lacks_means(&error) => Err(error).at("read", path),
        Err(error) => Ok((Read::Wrong(format!("it cannot be read: {error}")), 0)),
    }
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    let facts = |path| fs::symlink_metadata(path).map(|facts| (facts.dev(), facts.ino()));
    matches!((facts(one), facts(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_tell_is_counted() {
        let finding = || Finding {
            what: "blob".to_owned(),
            path: None,
            problem: "gone".to_owned(),
            done: "",
        };
        let seen_with = |count: usize| {
            let mut seen = Verified::default();
            (0..count).for_each(|_| seen.find(finding()));
            seen.end().findings
        };
        assert_eq!(seen_with(FINDINGS_MAX).len(), FINDINGS_MAX);
        let told = seen_with(FINDINGS_MAX + 3);
        assert_eq!(told.len(), FINDINGS_MAX + 1);
        assert!(told[FINDINGS_MAX].problem.starts_with("3 more are wrong"));
    }
}
