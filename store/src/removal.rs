//! Takes away what nothing holds: rows first, then files, so that nothing is ever half there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey, TreeId};
use kbs_plan::tree::Tree;

use crate::changes::Change;
use crate::collect::names_of;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::ingest::Stage;
use crate::layout::Variant;
use crate::parallel;
use crate::policy::Item;
use crate::roots::Judged;
use crate::row::Ending;
use crate::store::Store;
use crate::sweep::remove_tree;
use crate::thing::Thing;

/// So many things go in one transaction. Others wait as long as it takes.
const TOGETHER: usize = 1024;
/// So many blobs go in one transaction.
const BLOBS_TOGETHER: usize = 4096;

/// What a removal did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of things that are gone: outputs, layers, images, failures.
    pub things: u64,
    /// Number of blobs that nothing uses any more, and that are gone.
    pub blobs: u64,
    /// Bytes of files that are gone.
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

/// What keeps things from being removed, besides work that goes on.
enum Respect<'a> {
    /// Roots and image names.
    Holders(&'a Judged),
    /// Nothing: what is removed is damaged.
    Nothing,
}

/// A listing that was read before anything was locked.
type Listed = Option<(TreeId, BTreeSet<BlobId>)>;

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
    /// Removes what of `items` nothing holds by now, with all keys that it is the output of by now;
    /// `Kept` items are not the store's. Image names that begin with `@` hold nothing.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed so far is gone, and the rest is whole.
    pub fn remove(&self, items: &[Item], now_unix_s: u64) -> Result<Removed, StoreError> {
        let judged = self.judge_roots(now_unix_s)?;
        if items.is_empty() {
            // Dead roots are forgotten all the same.
            let _alone = self.locks.take_away();
            self.rooted_now(&judged)?;
        }
        self.remove_all(items, &Respect::Holders(&judged))
    }

    /// Removes what of `items` nobody is using, rooted or not: it is damaged, and its roots will keep
    /// what is made in its place. Returns how many.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn discard(&self, items: &[Item]) -> Result<u64, StoreError> {
        Ok(self.remove_all(items, &Respect::Nothing)?.things)
    }

    fn remove_all(&self, items: &[Item], respect: &Respect<'_>) -> Result<Removed, StoreError> {
        let _room = self.room();
        let mut removed = Removed::default();
        for items in items.chunks(TOGETHER) {
            let listed = parallel::for_each(items.len(), &|number| self.list(&items[number]))?;
            let stage = Stage::new(self.paths())?;
            let doomed = self.take_out(items, listed, &stage, respect)?;
            // The files themselves: nothing names them any more.
            parallel::for_each_waiting(doomed.len(), &|number| {
                let dir = stage.join(&number.to_string());
                remove_tree(&dir).at("remove", &dir)
            })?;
            drop(stage);
            let mut blobs = BTreeSet::new();
            for Doomed { blobs: own, own_b, .. } in doomed {
                removed += Removed { things: 1, blobs: 0, freed_b: own_b };
                blobs.extend(own);
            }
            removed += self.release(&blobs)?;
        }
        Ok(removed)
    }

    /// The blobs of an item. Of what cannot be read they stay, and are litter.
    fn list(&self, item: &Item) -> Result<Listed, StoreError> {
        let Item::Thing(thing @ (Thing::Output(_) | Thing::Image(_)), _) = item else {
            return Ok(None);
        };
        let listing = self.read_listing(*thing)?.ok();
        let blobs = |listing: Tree| listing.files().map(|(_, blob, _)| blob).collect();
        Ok(listing.map(|listing| (listing.id(), blobs(listing))))
    }

    /// Removes the rows and the names of things; their files are in `stage` then.
    fn take_out(
        &self,
        items: &[Item],
        listed: Vec<Listed>,
        stage: &Stage,
        respect: &Respect<'_>,
    ) -> Result<Vec<Doomed>, StoreError> {
        let _alone = self.locks.take_away();
        let (rooted, named) = match respect {
            Respect::Holders(judged) => (self.rooted_now(judged)?, self.named_images()?),
            Respect::Nothing => (BTreeMap::new(), BTreeSet::new()),
        };
        self.leases.while_still(|is_leased| {
            let is_held =
                |key: &BuildKey| rooted.contains_key(key) || is_leased(Thing::Output(*key));
            let mut doomed = Vec::new();
            for (item, listed) in items.iter().zip(listed) {
                let aliases = match item {
                    Item::Thing(Thing::Output(key), _) => self.aliases_of(*key)?,
                    _ => Vec::new(),
                };
                let stays = match item {
                    Item::Thing(Thing::Output(key), _) => {
                        [key].into_iter().chain(&aliases).any(is_held)
                    }
                    Item::Thing(thing, _) => {
                        is_leased(*thing) || named.contains(&thing.to_string())
                    }
                    Item::Failure(_) => false,
                    Item::Kept(_) => true,
                };
                if !stays {
                    doomed.extend(self.doom(item, &aliases, listed)?);
                }
            }
            let changes = doomed.iter().flat_map(|doomed| doomed.changes.clone()).collect();
            self.submit("forget what is collected", changes)?;
            parallel::for_each_waiting(doomed.len(), &|number| {
                let Doomed { dir, files, .. } = &doomed[number];
                if let Some(dir) = dir.as_deref().filter(|dir| is_directory(dir)) {
                    // Moving a directory needs permission to write to it.
                    disk::set_mode(dir, 0o755)?;
                    disk::rename(dir, &stage.join(&number.to_string()), "move away")?;
                }
                files.iter().try_for_each(|file| disk::remove_file(file).map(drop))
            })?;
            Ok(doomed)
        })
    }

    /// What goes with a thing; `None` where it is gone already.
    fn doom(
        &self,
        item: &Item,
        aliases: &[BuildKey],
        listed: Listed,
    ) -> Result<Option<Doomed>, StoreError> {
        let layout = self.paths();
        // Of a listing that is not what is removed now, nothing is known.
        let blobs_of = |tree: TreeId| {
            listed.filter(|(listed, _)| *listed == tree).map(|(_, blobs)| blobs).unwrap_or_default()
        };
        Ok(Some(match item {
            Item::Thing(Thing::Output(key), _) => {
                let Some(row) = self.lookup(*key)? else { return Ok(None) };
                let keys: Vec<_> = [*key].into_iter().chain(aliases.iter().copied()).collect();
                // The files of one that equals another are the other's.
                let is_base = row.stored_as == *key;
                Doomed {
                    changes: keys.iter().map(|key| Change::DropOutput { key: *key }).collect(),
                    dir: is_base.then(|| layout.output(row.stored_as, &row.stored_name)),
                    files: keys
                        .iter()
                        .flat_map(|key| [layout.meta(*key), layout.log(*key, Ending::Succeeded)])
                        .collect(),
                    blobs: if is_base { blobs_of(row.tree) } else { BTreeSet::new() },
                    own_b: 0,
                }
            }
            Item::Thing(thing, _) => {
                let Some(row) = self.tree_row(*thing)? else { return Ok(None) };
                let (dir, own_b) = match *thing {
                    Thing::Layer(name) => (layout.layer(name), row.size_b),
                    Thing::Image(name) => (layout.image(name), 0),
                    Thing::Output(_) => unreachable!("outputs are above"),
                };
                Doomed {
                    changes: vec![Change::DropTree { thing: *thing }],
                    dir: Some(dir),
                    files: vec![layout.meta_of(*thing)],
                    blobs: blobs_of(row.tree),
                    own_b,
                }
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
        for blobs in blobs.chunks(BLOBS_TOGETHER) {
            self.pins.while_still(|is_pinned| {
                let blobs: Vec<_> = blobs.iter().filter(|blob| !is_pinned(***blob)).collect();
                let there = parallel::for_each(blobs.len(), &|number| {
                    let file = |variant| names_of(&self.paths().blob(**blobs[number], variant));
                    Ok::<_, StoreError>(Variant::ALL.map(file))
                })?;
                let mut files = Vec::new();
                let mut unused = Vec::new();
                for (blob, there) in blobs.into_iter().zip(there) {
                    if there.iter().flatten().all(|(_, links, _)| *links <= 1) {
                        unused.push(**blob);
                    }
                    files.extend(there.into_iter().flatten().filter(|(_, links, _)| *links <= 1));
                }
                removed.blobs += unused.len() as u64;
                if !unused.is_empty() {
                    self.submit("forget unused blobs", vec![Change::DropBlobs { blobs: unused }])?;
                }
                removed.freed_b += files.iter().map(|(_, _, size_b)| size_b).sum::<u64>();
                parallel::for_each_waiting(files.len(), &|number| {
                    disk::remove_file(&files[number].0).map(drop)
                })?;
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

    /// The digests that names hold.
    fn named_images(&self) -> Result<BTreeSet<String>, StoreError> {
        let names = self.image_names()?.into_iter();
        Ok(names.filter(|(name, _)| !name.starts_with('@')).map(|(_, digest)| digest).collect())
    }
}

/// Whether it is a directory itself, and not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}
