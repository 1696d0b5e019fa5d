//! What collections share: that there is one at a time, and what appeared since the last one began.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbs_store::Lease;

/// What collections share.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    one: Mutex<()>,
    /// A collection that began by itself is under way.
    by_itself: AtomicBool,
    under_way: AtomicUsize,
    /// What work trees need that were kept since the latest collection looked for them.
    kept: Mutex<Vec<Lease>>,
}

/// One collection, until dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _one: MutexGuard<'a, ()>,
    under_way: &'a AtomicUsize,
}

/// The one collection that began by itself, until dropped.
#[derive(Debug)]
pub(crate) struct ByItself<'a>(&'a AtomicBool);

impl Collecting {
    /// Waits until no other collection is under way, then begins one.
    pub(crate) fn begin(&self) -> Turn<'_> {
        let one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Turn { _one: one, under_way: &self.under_way }
    }

    /// Whether a collection is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.is_by_itself() || self.under_way.load(Ordering::SeqCst) > 0
    }

    /// Whether one that began by itself is.
    pub(crate) fn is_by_itself(&self) -> bool {
        self.by_itself.load(Ordering::SeqCst)
    }

    /// Lets one collection at a time begin by itself.
    pub(crate) fn begin_by_itself(&self) -> Option<ByItself<'_>> {
        (!self.by_itself.swap(true, Ordering::SeqCst)).then_some(ByItself(&self.by_itself))
    }

    /// Holds what a work tree needs that was just kept, until the next collection has found the tree.
    /// To be called when the tree is in its place and its builder still holds the same.
    pub(crate) fn hold_for_kept(&self, leases: impl IntoIterator<Item = Lease>) {
        self.kept().extend(leases);
    }

    /// Lets go of what was held so; whoever calls this looks for work trees next.
    pub(crate) fn let_go_of_kept(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for ByItself<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
