//! Takes away what nothing holds: rows first, then files, so that nothing is ever half there.
//!
//! In two steps, because a file system can take long over the second: first things are gone for
//! everybody, then their files are removed and their bytes come back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey};
use kbs_plan::tree::Tree;

use crate::changes::Change;
use crate::collect::names_of;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::layout::Variant;
use crate::litter::Unfinished;
use crate::meta::read_listing_at;
use crate::parallel;
use crate::policy::Item;
use crate::roots::Judged;
use crate::row::Ending;
use crate::stage::Stage;
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

/// Things that are gone for everybody, and whose files wait for
/// [`give_back`](Store::give_back). Dropped before that, their files are left to a sweep.
#[derive(Debug)]
#[must_use]
pub struct TakenOut {
    /// Number of things: outputs, layers, images, failures.
    pub things: u64,
    /// Their files and directories, all of them in `stage`.
    moved: Vec<PathBuf>,
    /// Those among them that list the blobs of a thing.
    listings: Vec<(Thing, PathBuf)>,
    stage: Stage,
    own_b: u64,
    unfinished: Unfinished,
}

/// What keeps things from being removed, besides work that goes on.
enum Respect<'a> {
    /// Roots and image names.
    Holders(&'a Judged),
    /// Nothing: what is removed is damaged.
    Nothing,
}

/// What goes with a thing.
struct Doomed {
    changes: Vec<Change>,
    /// Its directory, and a file or two for each of its rows; some may not be there.
    places: Vec<PathBuf>,
    /// It has blobs, and its first file lists them.
    listed: Option<Thing>,
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

    /// The first step of [`remove`](Self::remove): things are gone for everybody, durably, and their
    /// bytes are not free yet. Whoever adds something waits meanwhile, so a thousand at a time will do.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub fn take_out(&self, items: &[Item], now_unix_s: u64) -> Result<TakenOut, StoreError> {
        let _room = self.room();
        let judged = self.judge_roots(now_unix_s)?;
        self.take_out_respecting(items, &Respect::Holders(&judged))
    }

    /// The second step: removes the files of what was taken out, and the blobs that nothing else has
    /// come to use meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; what is left then is in nobody's way, and the next sweep removes it.
    pub fn give_back(&self, mut taken: TakenOut) -> Result<Removed, StoreError> {
        let _room = self.room();
        let blobs = parallel::for_each(taken.listings.len(), &|number| {
            let (thing, place) = &taken.listings[number];
            // Of what cannot be read the blobs stay, and are litter.
            let listing = read_listing_at(place, *thing)?.ok();
            let blobs = |listing: Tree| listing.files().map(|(_, blob, _)| blob).collect();
            Ok::<Vec<_>, StoreError>(listing.map(blobs).unwrap_or_default())
        })?;
        parallel::for_each_waiting(taken.moved.len(), &|number| {
            let place = &taken.moved[number];
            remove_tree(place).at("remove", place)
        })?;
        let mut removed = self.release(&blobs.into_iter().flatten().collect())?;
        removed += Removed { things: taken.things, blobs: 0, freed_b: taken.own_b };
        taken.unfinished.finish();
        Ok(removed)
    }

    fn remove_all(&self, items: &[Item], respect: &Respect<'_>) -> Result<Removed, StoreError> {
        let _room = self.room();
        let mut removed = Removed::default();
        for items in items.chunks(TOGETHER) {
            removed += self.give_back(self.take_out_respecting(items, respect)?)?;
        }
        Ok(removed)
    }

    fn take_out_respecting(
        &self,
        items: &[Item],
        respect: &Respect<'_>,
    ) -> Result<TakenOut, StoreError> {
        let stage = Stage::new(self.paths())?;
        let _alone = self.locks.take_away();
        let (rooted, named) = match respect {
            Respect::Holders(judged) => (self.rooted_now(judged)?, self.named_images()?),
            Respect::Nothing => (BTreeMap::new(), BTreeSet::new()),
        };
        self.leases.while_still(|is_leased| {
            let is_held =
                |key: &BuildKey| rooted.contains_key(key) || is_leased(Thing::Output(*key));
            let mut doomed = Vec::new();
            for item in items {
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
                    doomed.extend(self.doom(item, &aliases)?);
                }
            }
            self.take_out_doomed(doomed, stage)
        })
    }

    /// Removes the rows of things, then their names.
    fn take_out_doomed(&self, doomed: Vec<Doomed>, stage: Stage) -> Result<TakenOut, StoreError> {
        let changes = doomed.iter().flat_map(|doomed| doomed.changes.clone()).collect();
        self.submit("forget what is collected", changes)?;
        let mut taken = TakenOut {
            things: doomed.len() as u64,
            moved: Vec::new(),
            listings: Vec::new(),
            own_b: 0,
            unfinished: self.unfinished(),
            stage,
        };
        let mut moving = Vec::new();
        for Doomed { changes: _, places, listed, own_b } in doomed {
            taken.own_b += own_b;
            let first = moving.len();
            moving.extend(places);
            let place = |number: usize| taken.stage.join(&number.to_string());
            taken.listings.extend(listed.map(|thing| (thing, place(first))));
        }
        taken.moved =
            (0..moving.len()).map(|number| taken.stage.join(&number.to_string())).collect();
        parallel::for_each(moving.len(), &|number| {
            move_away(&moving[number], &taken.moved[number])
        })?;
        Ok(taken)
    }

    /// What goes with a thing; `None` where it is gone already.
    fn doom(&self, item: &Item, aliases: &[BuildKey]) -> Result<Option<Doomed>, StoreError> {
        let layout = self.paths();
        Ok(Some(match item {
            Item::Thing(Thing::Output(key), _) => {
                let Some(row) = self.lookup(*key)? else { return Ok(None) };
                let keys: Vec<_> = [*key].into_iter().chain(aliases.iter().copied()).collect();
                // The files of one that equals another are the other's.
                let is_base = row.stored_as == *key;
                Doomed {
                    changes: keys.iter().map(|key| Change::DropOutput { key: *key }).collect(),
                    places: keys
                        .iter()
                        .flat_map(|key| [layout.meta(*key), layout.log(*key, Ending::Succeeded)])
                        .chain(is_base.then(|| layout.output(row.stored_as, &row.stored_name)))
                        .collect(),
                    listed: is_base.then_some(Thing::Output(*key)),
                    own_b: 0,
                }
            }
            Item::Thing(thing, _) => {
                let Some(row) = self.tree_row(*thing)? else { return Ok(None) };
                let (dir, listed, own_b) = match *thing {
                    Thing::Layer(name) => (layout.layer(name), None, row.size_b),
                    Thing::Image(name) => (layout.image(name), Some(*thing), 0),
                    Thing::Output(_) => unreachable!("outputs are above"),
                };
                Doomed {
                    changes: vec![Change::DropTree { thing: *thing }],
                    places: vec![layout.meta_of(*thing), dir],
                    listed,
                    own_b,
                }
            }
            Item::Failure(key) => Doomed {
                changes: vec![Change::DropFailure { key: *key }],
                own_b: self.failure_log_b(*key),
                places: vec![layout.failure_meta(*key), layout.log(*key, Ending::Failed)],
                listed: None,
            },
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

/// Moves a file or a directory, if it is there.
fn move_away(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut moved = disk::try_rename(from, to);
    if matches!(&moved, Err(error) if error.kind() == io::ErrorKind::PermissionDenied) {
        // Moving a directory rewrites its `..`, which needs permission to write to it.
        if is_directory(from) {
            disk::set_mode(from, 0o755)?;
        }
        moved = disk::try_rename(from, to);
    }
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.at("move away", from),
    }
}

/// Whether it is a directory itself, and not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}
