//! Takes away what nothing holds: rows first, then files, so that nothing is ever half there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::tree::Entry;
use redb::ReadableTable as _;

use crate::changes::Change;
use crate::disk;
use crate::error::StoreError;
use crate::index::TreeRow;
use crate::ingest::Stage;
use crate::layout::{Executable, Purpose, Variant};
use crate::policy::{Candidate, Holder, Item};
use crate::row::Ending;
use crate::store::Store;
use crate::tables::{IMAGES, LAYERS, USES};
use crate::thing::Thing;

/// So many things go in one transaction. Others wait as long as it takes.
const TOGETHER: usize = 256;

/// What a removal did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of things that are gone: outputs, layers, images, failures.
    pub things: u64,
    /// Number of blobs that nothing uses any more, and that are gone.
    pub blobs: u64,
    /// Bytes of disk that were given back, as far as files tell.
    pub freed_b: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        let Self { things, blobs, freed_b } = other;
        self.things += things;
        self.blobs += blobs;
        self.freed_b += freed_b;
    }
}

/// Finds the keys that roots keep, when nobody can add one.
type Rooted<'a> = &'a dyn Fn() -> Result<BTreeMap<BuildKey, Vec<Holder>>, StoreError>;

/// What lies in the way of a thing that goes.
struct Doomed {
    changes: Vec<Change>,
    /// Its directory, and a file for each of its rows.
    dir: Option<PathBuf>,
    files: Vec<PathBuf>,
    blobs: BTreeSet<BlobId>,
    /// Bytes of files that are its own.
    own_b: u64,
}

impl Store {
    /// Everything in the store that a collection could take, with what holds it; dead roots are
    /// forgotten on the way.
    ///
    /// # Errors
    /// [`StoreError::Meta`] where a root cannot be read, [`StoreError::Txn`], [`StoreError::Io`].
    pub fn candidates(&self, now_unix_s: u64) -> Result<Vec<Candidate>, StoreError> {
        let rooted = self.rooted(now_unix_s)?;
        let uses = self.uses()?;
        let last_use = |thing: Thing| {
            uses.get(&thing.to_bytes()).copied().unwrap_or(0).max(self.writer.noted_use(thing))
        };
        let mut outputs: BTreeMap<BuildKey, Candidate> = BTreeMap::new();
        let mut aliases = Vec::new();
        self.each_output(&mut |key, row| {
            let mut held_by: Vec<_> = rooted.get(&key).into_iter().flatten().cloned().collect();
            if self.leases.holds(Thing::Output(key)) {
                held_by.push(Holder::Work);
            }
            let last_use_unix_s = last_use(Thing::Output(key)).max(row.created_unix_s);
            if row.stored_as != key {
                aliases.push((key, row.stored_as, held_by, last_use_unix_s));
                return;
            }
            let candidate = Candidate {
                item: Item::Thing(Thing::Output(key), Vec::new()),
                name: row.stored_name,
                project: Some(row.project),
                size_b: row.size_b,
                created_unix_s: row.created_unix_s,
                last_use_unix_s,
                held_by,
            };
            outputs.insert(key, candidate);
        })?;
        for (key, of, held_by, last_use_unix_s) in aliases {
            // One whose base is gone is noticed when it is asked for.
            let Some(base) = outputs.get_mut(&of) else { continue };
            if let Item::Thing(_, keys) = &mut base.item {
                keys.push(key);
            }
            base.held_by.extend(held_by);
            base.last_use_unix_s = base.last_use_unix_s.max(last_use_unix_s);
        }
        let mut candidates: Vec<_> = outputs.into_values().collect();
        for (thing, row) in self.tree_rows()? {
            let held = self.leases.holds(thing).then_some(Holder::Work);
            candidates.push(Candidate {
                item: Item::Thing(thing, Vec::new()),
                name: thing.to_string(),
                project: None,
                size_b: row.size_b,
                created_unix_s: row.created_unix_s,
                last_use_unix_s: last_use(thing).max(row.created_unix_s),
                held_by: held.into_iter().collect(),
            });
        }
        for row in self.failures()? {
            let key = row.record.key;
            let log = fs::metadata(self.paths().log(key, Ending::Failed));
            candidates.push(Candidate {
                item: Item::Failure(key),
                name: row.record.name,
                project: None,
                size_b: log.map_or(0, |log| log.len()),
                created_unix_s: row.record.created_unix_s,
                last_use_unix_s: row.record.created_unix_s,
                held_by: Vec::new(),
            });
        }
        Ok(candidates)
    }

    /// Removes what of `items` nothing holds by now; `Kept` items are not the store's.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed so far is gone, and the rest is whole.
    pub fn remove(&self, items: &[Item], now_unix_s: u64) -> Result<Removed, StoreError> {
        self.remove_all(items, &|| self.rooted(now_unix_s))
    }

    /// Removes what of `items` nobody is using, rooted or not: it is damaged, and its roots will keep
    /// what is made in its place. Returns how many.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn discard(&self, items: &[Item]) -> Result<u64, StoreError> {
        Ok(self.remove_all(items, &|| Ok(BTreeMap::new()))?.things)
    }

    fn remove_all(&self, items: &[Item], rooted: Rooted<'_>) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        for items in items.chunks(TOGETHER) {
            let stage = Stage::new(self.paths())?;
            let (things, blobs, own_b) = self.take_out(items, &stage, rooted)?;
            // The files themselves: nothing names them any more.
            drop(stage);
            removed += Removed { things, blobs: 0, freed_b: own_b };
            removed += self.release(&blobs)?;
        }
        Ok(removed)
    }

    /// Removes the rows and the names of things; their files are in `stage` then.
    fn take_out(
        &self,
        items: &[Item],
        stage: &Stage,
        rooted: Rooted<'_>,
    ) -> Result<(u64, BTreeSet<BlobId>, u64), StoreError> {
        let _alone = self.locks.take_away();
        let rooted = rooted()?;
        self.leases.while_still(|is_leased| {
            let is_held = |item: &Item| match item {
                Item::Thing(Thing::Output(key), aliases) => [key]
                    .into_iter()
                    .chain(aliases)
                    .any(|key| rooted.contains_key(key) || is_leased(Thing::Output(*key))),
                Item::Thing(thing, _) => is_leased(*thing),
                Item::Failure(_) => false,
                Item::Kept(_) => true,
            };
            let mut doomed = Vec::new();
            for item in items.iter().filter(|item| !is_held(item)) {
                doomed.extend(self.doom(item)?);
            }
            let changes = doomed.iter().flat_map(|doomed| doomed.changes.clone()).collect();
            self.submit("forget what is collected", changes)?;
            let (mut blobs, mut own_b) = (BTreeSet::new(), 0);
            for (number, doomed) in doomed.iter().enumerate() {
                if let Some(dir) = doomed.dir.as_ref().filter(|dir| dir.is_dir()) {
                    // Moving a directory needs permission to write to it.
                    disk::set_mode(dir, 0o755)?;
                    disk::rename(dir, &stage.join(&number.to_string()), "move away")?;
                }
                for file in &doomed.files {
                    disk::remove_file(file)?;
                }
                blobs.extend(&doomed.blobs);
                own_b += doomed.own_b;
            }
            Ok((doomed.len() as u64, blobs, own_b))
        })
    }

    /// What goes with a thing; `None` where it is gone already.
    fn doom(&self, item: &Item) -> Result<Option<Doomed>, StoreError> {
        let layout = self.paths();
        Ok(Some(match item {
            Item::Thing(thing @ Thing::Output(key), aliases) => {
                let Some(row) = self.lookup(*key)? else { return Ok(None) };
                let keys: Vec<_> = [*key].into_iter().chain(aliases.iter().copied()).collect();
                // The files of one that equals another are the other's.
                let is_base = row.stored_as == *key;
                let listing =
                    self.read_listing(*thing)?.ok().filter(|_| is_base).unwrap_or_default();
                Doomed {
                    changes: keys.iter().map(|key| Change::DropOutput { key: *key }).collect(),
                    dir: is_base.then(|| layout.output(row.stored_as, &row.stored_name)),
                    files: keys
                        .iter()
                        .flat_map(|key| [layout.meta(*key), layout.log(*key, Ending::Succeeded)])
                        .collect(),
                    blobs: listing.files().map(|(_, blob, _)| blob).collect(),
                    own_b: 0,
                }
            }
            Item::Thing(thing, _) => {
                let Some(row) = self.tree_row(*thing)? else { return Ok(None) };
                let listing = self.read_listing(*thing)?.unwrap_or_default();
                let mut doomed = Doomed {
                    changes: vec![Change::DropTree { thing: *thing }],
                    dir: None,
                    files: vec![layout.meta_of(*thing)],
                    blobs: BTreeSet::new(),
                    own_b: 0,
                };
                if let Thing::Layer(name) = *thing {
                    (doomed.dir, doomed.own_b) = (Some(layout.layer(name)), row.size_b);
                } else if let Thing::Image(name) = *thing {
                    doomed.dir = Some(layout.image(name));
                    doomed.blobs = listing.files().map(|(_, blob, _)| blob).collect();
                }
                doomed
            }
            Item::Failure(key) => {
                let log = layout.log(*key, Ending::Failed);
                Doomed {
                    changes: vec![Change::DropFailure { key: *key }],
                    dir: None,
                    own_b: fs::metadata(&log).map_or(0, |log| log.len()),
                    files: vec![layout.failure_meta(*key), log],
                    blobs: BTreeSet::new(),
                }
            }
            Item::Kept(_) => return Ok(None),
        }))
    }

    /// Removes those of `blobs` that have no name but their own and that nobody is about to use.
    pub(crate) fn release(&self, blobs: &BTreeSet<BlobId>) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        if blobs.is_empty() {
            return Ok(removed);
        }
        let cloned = self.cloned_blobs()?;
        let blobs: Vec<_> = blobs.iter().filter(|blob| !cloned.contains(blob)).collect();
        for blobs in blobs.chunks(TOGETHER * 8) {
            self.pins.while_still(|is_pinned| {
                let mut files = Vec::new();
                let mut unused = Vec::new();
                for blob in blobs.iter().filter(|blob| !is_pinned(***blob)) {
                    let there =
                        Variant::ALL.map(|variant| names_of(&self.paths().blob(**blob, variant)));
                    if there.iter().flatten().all(|(_, links, _)| *links <= 1) {
                        unused.push(**blob);
                    }
                    files.extend(there.into_iter().flatten().filter(|(_, links, _)| *links <= 1));
                }
                removed.blobs += unused.len() as u64;
                if !unused.is_empty() {
                    self.submit("forget unused blobs", vec![Change::DropBlobs { blobs: unused }])?;
                }
                for (path, _, disk_b) in files {
                    disk::remove_file(&path)?;
                    removed.freed_b += disk_b;
                }
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(removed)
    }

    /// Blobs that source layers share bytes with, where they can; elsewhere none.
    pub(crate) fn cloned_blobs(&self) -> Result<BTreeSet<BlobId>, StoreError> {
        let mut cloned = BTreeSet::new();
        if self.can_share_bytes() {
            for (thing, _) in self.tree_rows()? {
                if let (Thing::Layer(_), Ok(listing)) = (thing, self.read_listing(thing)?) {
                    cloned.extend(listing.files().map(|(_, blob, _)| blob));
                }
            }
        }
        Ok(cloned)
    }

    /// The names of the roots of each rooted key.
    fn rooted(&self, now_unix_s: u64) -> Result<BTreeMap<BuildKey, Vec<Holder>>, StoreError> {
        let mut rooted: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for root in self.live_roots(now_unix_s)? {
            rooted.entry(root.key).or_default().push(Holder::Root(root.name));
        }
        Ok(rooted)
    }

    fn uses(&self) -> Result<BTreeMap<[u8; 33], u64>, StoreError> {
        self.db.read("read last uses", |txn| {
            let mut uses = BTreeMap::new();
            for row in txn.open_table(USES)?.iter()? {
                let (thing, used_unix_s) = row?;
                uses.insert(*thing.value(), used_unix_s.value());
            }
            Ok(uses)
        })
    }

    /// The rows of all layers and images. Those that cannot be read are left out.
    pub(crate) fn tree_rows(&self) -> Result<Vec<(Thing, TreeRow)>, StoreError> {
        self.db.read("list layers and images", |txn| {
            let mut rows = Vec::new();
            let mut read = |thing: Thing, bytes: &[u8]| match TreeRow::decode(bytes) {
                Ok(row) => rows.push((thing, row)),
                Err(error) => tracing::warn!(%thing, %error, "a row is skipped"),
            };
            for row in txn.open_table(LAYERS)?.iter()? {
                let (name, bytes) = row?;
                read(Thing::Layer(*name.value()), bytes.value());
            }
            for row in txn.open_table(IMAGES)?.iter()? {
                let (name, bytes) = row?;
                read(Thing::Image(*name.value()), bytes.value());
            }
            Ok(rows)
        })
    }
}

/// A blob's file, how many names it has and how many bytes of disk; `None` where it is not there.
fn names_of(path: &Path) -> Option<(PathBuf, u64, u64)> {
    let facts = fs::symlink_metadata(path).ok()?;
    Some((path.to_owned(), facts.nlink(), facts.blocks() * 512))
}

/// How many bytes the removal of one candidate after another gives back.
#[derive(Debug)]
pub struct Frees<'s> {
    store: &'s Store,
    /// Names that are left of each blob's file.
    left: BTreeMap<(BlobId, Variant), u64>,
}

impl Store {
    /// Begins to count; nothing is removed.
    pub fn frees(&self) -> Frees<'_> {
        Frees { store: self, left: BTreeMap::new() }
    }
}

impl Frees<'_> {
    /// Bytes that are free once this goes after all those before it.
    pub fn with(&mut self, candidate: &Candidate) -> u64 {
        let thing = match &candidate.item {
            Item::Thing(Thing::Layer(_), _) | Item::Failure(_) | Item::Kept(_) => {
                return candidate.size_b;
            }
            Item::Thing(thing, _) => *thing,
        };
        let Ok(Ok(listing)) = self.store.read_listing(thing) else { return 0 };
        let purpose = match thing {
            Thing::Output(_) => Purpose::Output,
            Thing::Layer(_) | Thing::Image(_) => Purpose::Source,
        };
        let mut freed_b = 0;
        for (_, entry) in listing.iter() {
            let Entry::File { blob, size, executable } = entry else { continue };
            let executable = Executable::of(*executable);
            let variant = Variant::of(purpose, executable);
            let path = self.store.paths().blob(*blob, variant);
            // Its blob's own name does not count.
            let left = self.left.entry((*blob, variant)).or_insert_with(|| {
                names_of(&path).map_or(1, |(_, links, _)| links.saturating_sub(1))
            });
            *left = left.saturating_sub(1);
            if *left == 0 {
                freed_b += size;
            }
        }
        freed_b
    }
}
