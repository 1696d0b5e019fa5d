//! What collections share: that there is one at a time, and what appeared since the last one began.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbs_store::{Decision, Lease};

/// What went.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    /// Over everything, least recently used first.
    pub(crate) decisions: Vec<Decision>,
    /// Number of things that went.
    pub(crate) things: u64,
}

/// What collections share.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    one: Mutex<()>,
    /// A collection that began by itself is under way.
    by_itself: AtomicBool,
    /// What the one that is under way does not know of.
    news: Mutex<News>,
}

#[derive(Debug, Default)]
struct News {
    is_under_way: bool,
    /// What work trees need that were kept since it looked for them.
    kept: Vec<Lease>,
}

/// One collection, until dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    all: &'a Collecting,
    _one: MutexGuard<'a, ()>,
}

/// The one collection that began by itself, until dropped.
#[derive(Debug)]
pub(crate) struct ByItself<'a>(&'a AtomicBool);

impl Collecting {
    /// Waits until no other collection is under way, then begins one.
    pub(crate) fn begin(&self) -> Turn<'_> {
        let one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        self.news().is_under_way = true;
        Turn { all: self, _one: one }
    }

    /// Whether a collection is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.is_by_itself() || self.news().is_under_way
    }

    /// Whether one that began by itself is.
    pub(crate) fn is_by_itself(&self) -> bool {
        self.by_itself.load(Ordering::SeqCst)
    }

    /// Lets one collection at a time begin by itself.
    pub(crate) fn begin_by_itself(&self) -> Option<ByItself<'_>> {
        (!self.by_itself.swap(true, Ordering::SeqCst)).then_some(ByItself(&self.by_itself))
    }

    /// Holds what a work tree needs that was just kept, for as long as a collection may not know of
    /// the tree. To be called when the tree is in its place and its builder still holds the same.
    pub(crate) fn hold_for_kept(&self, leases: impl IntoIterator<Item = Lease>) {
        let mut news = self.news();
        // One that begins later finds the tree.
        if news.is_under_way {
            news.kept.extend(leases);
        }
    }

    /// Lets go of what was held so; whoever calls this looks for work trees next.
    pub(crate) fn let_go_of_kept(&self) {
        self.news().kept.clear();
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.all.news() = News::default();
    }
}

impl Drop for ByItself<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
