//! One redb file: transactions as closures, and a fresh start after an I/O error.
//!
//! redb checks its pages' checksums only after a crash, and panics on some damage that it meets
//! later. Damage is the disk's fault and not a bug, so here it becomes an error.

use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{Builder, ReadTransaction, WriteTransaction};

use crate::error::StoreError;

/// Page cache, in bytes.
const CACHE_B: usize = 64 << 20;

type Opener = Box<dyn Fn() -> Result<redb::Database, redb::DatabaseError> + Send + Sync>;

/// An open database.
pub(crate) struct Database {
    path: PathBuf,
    opener: Opener,
    /// `None` between an I/O error, after which redb refuses all work, and the next opening.
    handle: RwLock<Option<redb::Database>>,
    #[cfg(test)]
    commits: AtomicU64,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a transaction's closure gave up.
pub(crate) enum TxnError {
    Redb(redb::Error),
    Store(StoreError),
}

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenFailure {
    #[error(transparent)]
    Redb(#[from] redb::DatabaseError),
    #[error(transparent)]
    Damage(#[from] Damage),
}

/// Something in the file made redb panic.
#[derive(Debug, thiserror::Error)]
#[error("the database met something impossible: {what}")]
pub(crate) struct Damage {
    what: String,
}

/// Runs code of redb. A panic leaves nothing behind that is used again: whoever gets the error
/// drops the handle.
fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Damage> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let what = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Damage { what: what.unwrap_or_else(|| "no more is known".to_owned()) }
    })
}

impl From<StoreError> for TxnError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for TxnError {
            fn from(error: redb::$error) -> Self {
                Self::Redb(error.into())
            }
        }
    )*};
}
from_redb!(StorageError, TableError, TransactionError, CommitError);

/// Runs `body` on a database file without a change to it; `None` where that cannot be: it is damaged, or
/// was left by a kill and has to be mended first.
pub(crate) fn peek<T>(
    path: &Path,
    body: impl FnOnce(&ReadTransaction) -> Result<T, TxnError>,
) -> Option<T> {
    use redb::ReadableDatabase as _;
    let read = contain(|| body(&Builder::new().open_read_only(path).ok()?.begin_read().ok()?).ok());
    read.ok().flatten()
}

impl Database {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenFailure> {
        let file = path.to_owned();
        Self::open_with(path, Box::new(move || create(&file)))
    }

    /// How many transactions were made durable.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn open_with(path: &Path, opener: Opener) -> Result<Self, OpenFailure> {
        let handle = RwLock::new(Some(contain(&opener)??));
        Ok(Self {
            path: path.to_owned(),
            opener,
            handle,
            #[cfg(test)]
            commits: AtomicU64::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `body` on one consistent state of all tables.
    pub(crate) fn read<T>(
        &self,
        action: &'static str,
        body: impl FnOnce(&ReadTransaction) -> Result<T, TxnError>,
    ) -> Result<T, StoreError> {
        self.with_handle(action, |handle| {
            use redb::ReadableDatabase as _;
            body(&handle.begin_read()?)
        })
    }

    /// As [`read`](Self::read), but waits for nobody: `None` where the database is not open just now, or
    /// somebody has it alone.
    pub(crate) fn read_at_once<T>(
        &self,
        action: &'static str,
        body: impl FnOnce(&ReadTransaction) -> Result<T, TxnError>,
    ) -> Option<Result<T, StoreError>> {
        let guard = self.handle.try_read().ok().filter(|guard| guard.is_some())?;
        Some(self.work_on(guard, action, |handle| {
            use redb::ReadableDatabase as _;
            body(&handle.begin_read()?)
        }))
    }

    /// Runs `body` as the only writer and makes what it wrote durable; where it fails, nothing of
    /// it was written.
    pub(crate) fn write<T>(
        &self,
        action: &'static str,
        body: impl FnOnce(&WriteTransaction) -> Result<T, TxnError>,
    ) -> Result<T, StoreError> {
        self.with_handle(action, |handle| {
            let mut txn = handle.begin_write()?;
            // In two phases, and with the allocator's state: opening after a kill need not walk the
            // whole file, which takes a second or two for a million outputs. It costs about a
            // millisecond a commit there, less in a smaller file, and the file does not grow by it.
            txn.set_quick_repair(true);
            #[cfg(test)]
            self.commits.fetch_add(1, Ordering::Relaxed);
            let value = body(&txn)?;
            txn.commit()?;
            Ok(value)
        })
    }

    /// Compares every page with its checksum while nobody reads or writes; says whether all are right.
    /// What could be mended is.
    pub(crate) fn check(&self) -> Result<bool, StoreError> {
        let action = "check";
        self.with_handle(action, |_| Ok(()))?;
        let mut guard = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = guard.as_mut() else { return Ok(true) };
        match contain(|| handle.check_integrity()) {
            Ok(Ok(is_right)) => Ok(is_right),
            Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted(_)))) | Err(_) => {
                *guard = None;
                Ok(false)
            }
            Ok(Err(error)) => {
                *guard = None;
                let path = self.path.clone();
                Err(StoreError::Txn { action, path, source: error.into() })
            }
        }
    }

    fn with_handle<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&redb::Database) -> Result<T, TxnError>,
    ) -> Result<T, StoreError> {
        let mut guard = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            drop(guard);
            self.reopen().map_err(|error| self.failed(action, error.into()))?;
            guard = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        }
        self.work_on(guard, action, work)
    }

    fn failed(&self, action: &'static str, source: Box<dyn Error + Send + Sync>) -> StoreError {
        StoreError::Txn { action, path: self.path.clone(), source }
    }

    fn work_on<T>(
        &self,
        guard: RwLockReadGuard<'_, Option<redb::Database>>,
        action: &'static str,
        work: impl FnOnce(&redb::Database) -> Result<T, TxnError>,
    ) -> Result<T, StoreError> {
        let Some(handle) = guard.as_ref() else {
            let closing = "the database is being closed after an I/O error";
            return Err(self.failed(action, closing.into()));
        };
        let (error, fresh_start): (Box<dyn Error + Send + Sync>, bool) =
            match contain(|| work(handle)) {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(TxnError::Store(error))) => return Err(error),
                Ok(Err(TxnError::Redb(error))) => {
                    let fresh_start = needs_fresh_start(&error);
                    (error.into(), fresh_start)
                }
                Err(damage) => (damage.into(), true),
            };
        drop(guard);
        if fresh_start {
            tracing::warn!(path = %self.path.display(), %error, "database closed, to be reopened");
            self.close();
        }
        Err(self.failed(action, error))
    }

    fn reopen(&self) -> Result<(), OpenFailure> {
        let mut guard = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            *guard = Some(contain(&self.opener)??);
        }
        Ok(())
    }

    fn close(&self) {
        let mut guard = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: the file cannot be opened again before it is closed.
        let handle = guard.take();
        if let Err(error) = contain(|| drop(handle)) {
            tracing::warn!(path = %self.path.display(), %error, "closing the database");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(not(test))]
fn create(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    Builder::new().set_cache_size(CACHE_B).create(path)
}

/// In the tests each write and each sync of the file is a step that can be the last.
#[cfg(test)]
fn create(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    let file = Stepping(redb::backends::FileBackend::new(file)?);
    Builder::new().set_cache_size(CACHE_B).create_with_backend(file)
}

#[cfg(test)]
#[derive(Debug)]
struct Stepping(redb::backends::FileBackend);

#[cfg(test)]
impl redb::StorageBackend for Stepping {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        crate::faults::step("resize the database").and_then(|()| self.0.set_len(len))
    }
    fn sync_data(&self) -> std::io::Result<()> {
        crate::faults::step("sync the database").and_then(|()| self.0.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        crate::faults::step("write to the database").and_then(|()| self.0.write(offset, data))
    }
    fn close(&self) -> std::io::Result<()> {
        self.0.close()
    }
}

/// Whether redb will refuse everything until the file is opened again.
fn needs_fresh_start(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::Io(_)
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::IMAGE_NAMES;
    use redb::StorageBackend;
    use redb::backends::FileBackend;
    use std::fs::OpenOptions;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A file on a disk that can be full.
    #[derive(Debug)]
    struct FullDisk {
        file: FileBackend,
        full: Arc<AtomicBool>,
    }

    impl FullDisk {
        fn room(&self) -> io::Result<()> {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(28));
            }
            Ok(())
        }
    }

    impl StorageBackend for FullDisk {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room()?;
            self.file.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.file.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room()?;
            self.file.write(offset, data)
        }
        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }

    fn name_image(db: &Database, name: &str) -> Result<(), StoreError> {
        db.write("name an image", |txn| {
            txn.open_table(IMAGE_NAMES)?.insert(name, "sha256:00")?;
            Ok(())
        })
    }

    fn has_image(db: &Database, name: &str) -> bool {
        db.read("look up", |txn| Ok(txn.open_table(IMAGE_NAMES)?.get(name)?.is_some())).unwrap()
    }

    #[test]
    fn work_goes_on_after_the_disk_was_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let full = Arc::new(AtomicBool::new(false));
        let opener = {
            let (path, full) = (path.clone(), Arc::clone(&full));
            move || {
                let mut options = OpenOptions::new();
                let file =
                    options.read(true).write(true).create(true).truncate(false).open(&path)?;
                let file = FileBackend::new(file)?;
                Builder::new().create_with_backend(FullDisk { file, full: Arc::clone(&full) })
            }
        };
        let db = Database::open_with(&path, Box::new(opener)).unwrap();
        name_image(&db, "before").unwrap();

        full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let error = name_image(&db, "during").unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }

        full.store(false, Ordering::SeqCst);
        assert!(has_image(&db, "before"));
        assert!(!has_image(&db, "during"));
        name_image(&db, "after").unwrap();
        drop(db);
        let db = Database::open(&path).unwrap();
        assert!(has_image(&db, "before") && has_image(&db, "after") && !has_image(&db, "during"));
    }
}
