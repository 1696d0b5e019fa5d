//! One worker per thing, and a bounded number of builds.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};

/// Lets one thread at a time work on each key; the others wait and then find it done.
#[derive(Debug)]
pub(crate) struct PerKey<K> {
    busy: Mutex<BTreeSet<K>>,
    freed: Condvar,
}

impl<K> Default for PerKey<K> {
    fn default() -> Self {
        Self { busy: Mutex::new(BTreeSet::new()), freed: Condvar::new() }
    }
}

/// Holds one key of a [`PerKey`] until dropped.
pub(crate) struct KeyGuard<'a, K: Ord> {
    owner: &'a PerKey<K>,
    key: K,
}

impl<K: Ord + Clone> PerKey<K> {
    /// Waits until nobody works on `key`, then holds it.
    pub(crate) fn hold(&self, key: &K) -> KeyGuard<'_, K> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while !busy.insert(key.clone()) {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        KeyGuard { owner: self, key: key.clone() }
    }
}

impl<K: Ord> Drop for KeyGuard<'_, K> {
    fn drop(&mut self) {
        self.owner.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.owner.freed.notify_all();
    }
}

impl<K: Ord> fmt::Debug for KeyGuard<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyGuard").finish_non_exhaustive()
    }
}

/// A bounded number of builds at a time.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

/// One slot of [`Slots`], until dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    /// `count` builds at a time, at least one.
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), changed: Condvar::new() }
    }

    /// Waits for a free slot, or returns `None` once `given_up` says so; [`Slots::wake`] has it asked
    /// again.
    pub(crate) fn take(&self, given_up: impl Fn() -> bool) -> Option<Slot<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 && !given_up() {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        if given_up() {
            return None;
        }
        *free -= 1;
        Some(Slot(self))
    }

    /// Has everybody who waits ask again whether to give up.
    pub(crate) fn wake(&self) {
        drop(self.free.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_key_has_one_worker() {
        let (keys, inside, most) = (PerKey::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _guard = keys.hold(&7);
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }

    #[test]
    fn slots_bound_and_can_be_given_up() {
        let slots = Slots::new(0);
        let held = slots.take(|| false).unwrap();
        assert!(slots.take(|| true).is_none());
        drop(held);
        assert!(slots.take(|| true).is_none(), "nobody wants it any more");
        assert!(slots.take(|| false).is_some());
    }
}
