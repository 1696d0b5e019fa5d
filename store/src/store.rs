//! The store itself: what is open, and how it is opened and written.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use crate::changes::{Change, Totals};
use crate::claim::{Claim, OpenError, claim};
use crate::database::Database;
use crate::disk;
use crate::error::StoreError;
use crate::layout::Layout;
use crate::locks::Locks;
use crate::open::{Index, open_index};
use crate::sweep::empty_tree;
use crate::tables::{TOTALS, USES};
use crate::thing::{Lease, Leases, Pins, Thing};
use crate::writer::Writer;

/// An open state directory. Meant to be shared between threads; one process has it at a time.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: Database,
    pub(crate) writer: Writer,
    pub(crate) locks: Locks,
    pub(crate) leases: Leases,
    pub(crate) pins: Pins,
    /// Held while image names change, in their file and their table.
    pub(crate) naming: Mutex<()>,
    /// Shared by whoever names a new blob; alone for whoever replaces one that is damaged. What is sound
    /// may have links, and is never replaced.
    pub(crate) replacing: RwLock<()>,
    /// Held while an image is taken in.
    pub(crate) adopting: Mutex<()>,
    /// Counts looks at outputs, so that each looks elsewhere.
    pub(crate) looks: AtomicU64,
    /// Whether files can share bytes here; asked once.
    pub(crate) clones: OnceLock<bool>,
    /// Whether the process that had the directory before left it without saying so.
    pub(crate) was_left_open: bool,
    /// Whether something may be left to a sweep, by such a process or by ourselves.
    pub(crate) has_litter: Arc<AtomicBool>,
    /// Last, so that the directory is released after everything in it is closed.
    claim: Claim,
}

impl Store {
    /// Opens the state directory, makes it where there is none, and deletes everything in its
    /// `scratch/`.
    ///
    /// A database that is not there is made again from the files; one of an older schema is
    /// migrated, and the old one kept beside it.
    ///
    /// # Errors
    /// [`OpenError`]; a directory that is refused is left as it was.
    pub fn open(state: &Path) -> Result<Self, OpenError> {
        Self::open_with(state, Index::AsItIs)
    }

    /// Opens the state directory with a database made again from the files, whatever the one that
    /// is there says; that one is kept beside it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_rebuilt(state: &Path) -> Result<Self, OpenError> {
        Self::open_with(state, Index::Anew)
    }

    fn open_with(state: &Path, index: Index) -> Result<Self, OpenError> {
        let claim = claim(state)?;
        let layout = &claim.layout;
        if let Err(error) = empty_tree(&layout.scratch()) {
            // New names there are unique, so what stays is in nobody's way.
            tracing::warn!(path = %layout.scratch().display(), %error, "leftovers stay in scratch");
        }
        let db = open_index(layout, index)?;
        let was_left_open = layout.open_marker().exists();
        disk::step("create a file")
            .and_then(|()| fs::write(layout.open_marker(), ""))
            .map_err(|source| OpenError::ReadOnly { path: layout.root().to_owned(), source })?;
        let store = Self {
            db,
            writer: Writer::default(),
            locks: Locks::default(),
            leases: Leases::default(),
            pins: Pins::default(),
            naming: Mutex::default(),
            replacing: RwLock::default(),
            adopting: Mutex::default(),
            // A process that looks once and leaves should not look where the last one did.
            looks: AtomicU64::new(std::process::id().into()),
            clones: OnceLock::new(),
            was_left_open,
            has_litter: Arc::new(was_left_open.into()),
            claim,
        };
        store.load_ballast();
        Ok(store)
    }

    /// Where everything is.
    pub fn paths(&self) -> &Layout {
        &self.claim.layout
    }

    /// Whether the process that had this directory before was killed, so that a
    /// [`sweep`](Self::sweep) may find something.
    pub fn was_left_open(&self) -> bool {
        self.was_left_open
    }

    /// Keeps something from being collected as long as the lease lives. Look whether it is there
    /// after this, not before.
    pub fn lease(&self, thing: Thing) -> Lease {
        self.leases.take(thing)
    }

    /// Notes that something was used at `now_unix_s`; it is written with the next transaction, or
    /// when many uses have come together.
    ///
    /// # Errors
    /// [`StoreError::Txn`]; the use is still noted.
    pub fn touch(&self, thing: Thing, now_unix_s: u64) -> Result<(), StoreError> {
        if self.writer.touch(thing, now_unix_s) { self.flush_notes() } else { Ok(()) }
    }

    /// When something was last used, in Unix seconds; 0 where that is not known.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn last_use(&self, thing: Thing) -> Result<u64, StoreError> {
        let written = self.db.read("look up a last use", |txn| {
            let known = txn.open_table(USES)?.get(&thing.to_bytes())?;
            Ok(known.map_or(0, |known| known.value()))
        })?;
        Ok(written.max(self.writer.noted_use(thing)))
    }

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.db.read("read the totals", |txn| Totals::read(&txn.open_table(TOTALS)?))
    }

    /// Makes changes to the rows durable; all or none.
    pub(crate) fn submit(
        &self,
        action: &'static str,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        self.writer.submit(&self.db, action, changes)
    }

    pub(crate) fn flush_notes(&self) -> Result<(), StoreError> {
        self.submit("write what was noted", Vec::new())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.writer.has_notes()
            && let Err(error) = self.flush_notes()
        {
            tracing::warn!(%error, "last uses and jobs are forgotten");
        }
        // Until somebody has swept, the next to open the directory is told to.
        let has_litter = self.has_litter.load(Ordering::Relaxed);
        if !has_litter && let Err(error) = disk::remove_file(&self.paths().open_marker()) {
            tracing::warn!(%error, "the next to open the state directory will sweep it");
        }
    }
}
