//! Who may change the directories of the store, and when.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kbs_plan::id::BuildKey;

/// One thread for each key, and all of them or a collection.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Shared by whoever adds something; alone for whoever takes away what has no row.
    gate: RwLock<()>,
    busy: Mutex<BTreeSet<BuildKey>>,
    freed: Condvar,
}

/// Keys that are ours until dropped, with the gate held open.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    locks: &'a Locks,
    held: BTreeSet<BuildKey>,
    _gate: RwLockReadGuard<'a, ()>,
}

impl Locks {
    /// Waits until nobody else changes what these keys stand for.
    pub(crate) fn keys(&self, keys: impl IntoIterator<Item = BuildKey>) -> Keys<'_> {
        let gate = self.add();
        let keys: BTreeSet<_> = keys.into_iter().collect();
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // All at once or none: nobody holds one and waits for another.
        while !busy.is_disjoint(&keys) {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        busy.extend(keys.iter().copied());
        Keys { locks: self, held: keys, _gate: gate }
    }

    /// Waits until nothing is taken away, and keeps it so.
    pub(crate) fn add(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody is adding anything: what has no row then has been left behind.
    pub(crate) fn take_away(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        let mut busy = self.locks.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.held.iter().for_each(|key| {
            busy.remove(key);
        });
        drop(busy);
        self.locks.freed.notify_all();
    }
}
