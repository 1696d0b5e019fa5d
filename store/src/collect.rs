//! What a collection could take, what holds it, and what its removal would give back.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::tree::Entry;
use redb::ReadableTable as _;

use crate::error::StoreError;
use crate::index::{IndexRow, TreeRow};
use crate::layout::{Executable, Purpose, Variant};
use crate::policy::{Candidate, Holder, Item};
use crate::roots::Rooted;
use crate::store::Store;
use crate::tables::{IMAGES, LAYERS, OUTPUTS, USES};
use crate::thing::Thing;

/// What holds things and when they were used, all asked for before the rows are read.
struct Known {
    rooted: Rooted,
    leased: BTreeSet<Thing>,
    noted: BTreeMap<Thing, u64>,
}

impl Known {
    fn noted_use(&self, thing: Thing) -> u64 {
        self.noted.get(&thing).copied().unwrap_or(0)
    }

    fn holders(&self, thing: Thing) -> Vec<Holder> {
        let roots = match thing {
            Thing::Output(key) => self.rooted.get(&key).into_iter().flatten().cloned().collect(),
            Thing::Layer(_) | Thing::Image(_) => Vec::new(),
        };
        let work = self.leased.contains(&thing).then_some(Holder::Work);
        roots.into_iter().chain(work).collect()
    }
}

/// How the key of an output compares with another one.
fn compare(output: &Candidate, other: BuildKey) -> Ordering {
    match output.item {
        Item::Thing(thing, _) => thing.cmp(&Thing::Output(other)),
        Item::Failure(_) | Item::Kept(_) => Ordering::Greater,
    }
}

/// Each name once.
#[derive(Default)]
struct Names(BTreeSet<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

impl Store {
    /// Everything in the store that a collection could take, with what holds it.
    ///
    /// # Errors
    /// [`StoreError::Meta`] where a root cannot be read, [`StoreError::Txn`], [`StoreError::Io`].
    pub fn candidates(&self, now_unix_s: u64) -> Result<Vec<Candidate>, StoreError> {
        let known = Known {
            rooted: self.judge_roots(now_unix_s)?.rooted(),
            leased: self.leases.all(),
            noted: self.writer.noted_uses(),
        };
        let mut candidates = self.output_candidates(&known)?;
        for (thing, row) in self.tree_rows()? {
            candidates.push(Candidate {
                item: Item::Thing(thing, Vec::new()),
                name: thing.to_string().into(),
                project: None,
                size_b: row.size_b,
                created_unix_s: row.created_unix_s,
                last_use_unix_s: self.last_use(thing)?.max(row.created_unix_s),
                held_by: known.holders(thing),
            });
        }
        for row in self.failures()? {
            let key = row.record.key;
            candidates.push(Candidate {
                item: Item::Failure(key),
                name: row.record.name.into(),
                project: None,
                size_b: self.failure_log_b(key),
                created_unix_s: row.record.created_unix_s,
                last_use_unix_s: row.record.created_unix_s,
                held_by: Vec::new(),
            });
        }
        Ok(candidates)
    }

    /// Every output directory with all keys that it is the output of, and every key whose directory is
    /// gone.
    fn output_candidates(&self, known: &Known) -> Result<Vec<Candidate>, StoreError> {
        // In the order of their keys, with everything that a million of them can share.
        let mut outputs: Vec<Candidate> = Vec::new();
        let mut aliases = Vec::new();
        let mut names = Names::default();
        // Inside a read, nothing may be waited for: not even a lock.
        self.each_output_with_use(&mut |key, row, last_use_unix_s| {
            let thing = Thing::Output(key);
            let base = (row.stored_as != key).then_some(row.stored_as);
            let last_use_unix_s = last_use_unix_s.max(known.noted_use(thing));
            let candidate = Candidate {
                item: Item::Thing(thing, Vec::new()),
                name: names.shared(&row.stored_name),
                project: Some(names.shared(&row.project)),
                size_b: if base.is_some() { 0 } else { row.size_b },
                created_unix_s: row.created_unix_s,
                last_use_unix_s: last_use_unix_s.max(row.created_unix_s),
                held_by: known.holders(thing),
            };
            match base {
                Some(base) => aliases.push((key, base, candidate)),
                None => outputs.push(candidate),
            }
        })?;
        let mut alone = Vec::new();
        for (key, of, alias) in aliases {
            let Ok(place) = outputs.binary_search_by(|output| compare(output, of)) else {
                alone.push(alias);
                continue;
            };
            let base = &mut outputs[place];
            if let Item::Thing(_, keys) = &mut base.item {
                keys.push(key);
            }
            base.held_by.extend(alias.held_by);
            base.created_unix_s = base.created_unix_s.max(alias.created_unix_s);
            base.last_use_unix_s = base.last_use_unix_s.max(alias.last_use_unix_s);
        }
        outputs.extend(alone);
        Ok(outputs)
    }

    /// Shows every output's row with its last use, as far as rows tell; in the order of their keys.
    fn each_output_with_use(
        &self,
        show: &mut dyn FnMut(BuildKey, IndexRow, u64),
    ) -> Result<(), StoreError> {
        self.db.read("list the outputs", |txn| {
            let uses = txn.open_table(USES)?;
            // Both tables are in the order of the keys, so they are gone through side by side.
            let mut uses = uses.iter()?;
            let mut ahead = uses.next().transpose()?;
            for row in txn.open_table(OUTPUTS)?.iter()? {
                let (key, bytes) = row?;
                let key = key.value();
                let wanted = Thing::Output(key).to_bytes();
                while ahead.as_ref().is_some_and(|(thing, _)| *thing.value() < wanted) {
                    ahead = uses.next().transpose()?;
                }
                let used = ahead.as_ref().filter(|(thing, _)| *thing.value() == wanted);
                match IndexRow::decode(bytes.value()) {
                    Ok(row) => show(key, row, used.map_or(0, |(_, used)| used.value())),
                    Err(error) => {
                        tracing::warn!(build.key = %key, %error, "an output's row is skipped");
                    }
                }
            }
            Ok(())
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

/// A blob's file, how many names it has and how many bytes; `None` where it is not there.
pub(crate) fn names_of(path: &Path) -> Option<(PathBuf, u64, u64)> {
    let facts = fs::symlink_metadata(path).ok()?;
    Some((path.to_owned(), facts.nlink(), facts.len()))
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
