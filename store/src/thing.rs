//! What the store keeps, can lend, and collects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbs_plan::id::{BlobId, BuildKey, Id};

/// One thing in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The output of a key.
    Output(BuildKey),
    /// A layer of sources, by the name that it was stored under.
    Layer([u8; 32]),
    /// A toolchain image, by the SHA-256 of its manifest.
    Image([u8; 32]),
}

impl Thing {
    /// The layer that has this directory.
    pub fn of_layer(dir: &Path) -> Option<Self> {
        let name: BlobId = dir.file_name()?.to_str()?.parse().ok()?;
        Some(Self::Layer(*name.as_bytes()))
    }

    /// Its key in the database: a number for the kind, then 32 bytes.
    pub(crate) fn to_bytes(self) -> [u8; 33] {
        let (kind, name) = match self {
            Self::Output(key) => (0, *key.as_bytes()),
            Self::Layer(name) => (1, name),
            Self::Image(name) => (2, name),
        };
        let mut bytes = [kind; 33];
        bytes[1..].copy_from_slice(&name);
        bytes
    }

    /// Reads its key in the database back; `None` for a kind that this kbs does not know.
    pub(crate) fn from_bytes(bytes: &[u8; 33]) -> Option<Self> {
        let (kind, name) = bytes.split_first_chunk::<1>()?;
        let name: [u8; 32] = name.try_into().ok()?;
        match kind {
            [0] => Some(Self::Output(BuildKey::from_bytes(name))),
            [1] => Some(Self::Layer(name)),
            [2] => Some(Self::Image(name)),
            _ => None,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |name: &[u8; 32]| Id::<()>::from_bytes(*name).hex();
        match self {
            Self::Output(key) => key.fmt(f),
            Self::Layer(name) => write!(f, "layer:{}", hex(name)),
            Self::Image(name) => write!(f, "sha256:{}", hex(name)),
        }
    }
}

/// How many hold each of something.
#[derive(Debug)]
struct Counts<T>(Arc<Mutex<BTreeMap<T, usize>>>);

impl<T> Clone for Counts<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Ord> Counts<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<T, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, held: T) {
        *self.lock().entry(held).or_default() += 1;
    }

    fn subtract(&self, held: &T) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(held) {
            *count -= 1;
            if *count == 0 {
                counts.remove(held);
            }
        }
    }
}

/// What running work uses and no collection may take away.
#[derive(Debug, Default)]
pub(crate) struct Leases(Counts<Thing>);

/// The use of one thing, until dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Counts<Thing>,
    thing: Thing,
}

impl Leases {
    pub(crate) fn take(&self, thing: Thing) -> Lease {
        self.0.add(thing);
        Lease { leases: self.0.clone(), thing }
    }

    /// Everything that is held now.
    pub(crate) fn all(&self) -> BTreeSet<Thing> {
        self.0.lock().keys().copied().collect()
    }

    /// Runs `work`, which is told what is held, while nobody can take a lease.
    pub(crate) fn while_still<T>(&self, work: impl FnOnce(&dyn Fn(Thing) -> bool) -> T) -> T {
        let held = self.0.lock();
        work(&|thing| held.contains_key(&thing))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.subtract(&self.thing);
    }
}

/// Blobs that somebody is about to name in a row, and that must not be taken for unused.
#[derive(Debug, Default)]
pub(crate) struct Pins(Counts<BlobId>);

/// Blobs that stay, until dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    pins: Counts<BlobId>,
    blobs: Vec<BlobId>,
}

impl Pins {
    pub(crate) fn none(&self) -> Pinned {
        Pinned { pins: self.0.clone(), blobs: Vec::new() }
    }

    /// Runs `work`, which is told what is pinned, while nobody can pin anything.
    pub(crate) fn while_still<T>(&self, work: impl FnOnce(&dyn Fn(BlobId) -> bool) -> T) -> T {
        let pinned = self.0.lock();
        work(&|blob| pinned.contains_key(&blob))
    }
}

impl Pinned {
    /// Pins a blob. Look whether it is there after this, not before.
    pub(crate) fn add(&mut self, blob: BlobId) {
        self.pins.add(blob);
        self.blobs.push(blob);
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.blobs.iter().for_each(|blob| self.pins.subtract(blob));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_stays_until_the_last_one_is_done() {
        let leases = Leases::default();
        let (a, b) = (Thing::Layer([1; 32]), Thing::Image([1; 32]));
        let (first, second) = (leases.take(a), leases.take(a));
        assert!(leases.all().contains(&a) && !leases.all().contains(&b));
        drop(first);
        assert!(leases.while_still(|held| held(a) && !held(b)));
        drop(second);
        assert!(leases.all().is_empty());
    }

    #[test]
    fn a_blob_is_pinned_as_often_as_it_was_taken() {
        let (pins, blob) = (Pins::default(), BlobId::of(b"x"));
        let (mut one, mut two) = (pins.none(), pins.none());
        one.add(blob);
        one.add(blob);
        two.add(blob);
        drop(one);
        assert!(pins.while_still(|pinned| pinned(blob)));
        drop(two);
        assert!(!pins.while_still(|pinned| pinned(blob)));
    }
}
