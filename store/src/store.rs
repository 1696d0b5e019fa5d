//! The store itself: what is open, and how it is opened and written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::mem;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbs_plan::id::BuildKey;
use redb::{ReadableTable as _, WriteTransaction};

use crate::claim::{Claim, OpenError, claim};
use crate::database::{Database, OpenFailure, TxnError};
use crate::error::StoreError;
use crate::layout::Layout;
use crate::rebuild::index_files;
use crate::row::{OutputRow, Row as _};
use crate::sweep::empty_tree;
use crate::tables::{
    BLOBS, CONFIGURED, CONTENTS, FAILURES, GIT_BLOBS, IMAGE_NAMES, JOBS, OUTPUTS, SCHEMA,
    SCHEMA_VERSION, SELECTIONS, TREES,
};

/// So many last uses are collected before they are written by themselves.
const USES_MAX: usize = 64;

/// An open state directory. Meant to be shared between threads; one process has it at a time.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: Database,
    /// Held while an output's directory and rows change together.
    commits: Mutex<()>,
    /// Last uses, in Unix seconds, that the rows do not know yet.
    uses: Mutex<BTreeMap<BuildKey, u64>>,
    /// Counts looks at outputs, so that each looks elsewhere.
    pub(crate) looks: AtomicU64,
    /// Last, so that the directory is released after everything in it is closed.
    claim: Claim,
}

impl Store {
    /// Opens the state directory, makes it where there is none, and deletes everything in its
    /// `scratch/`.
    ///
    /// A database that is not there is made again from the outputs' files.
    ///
    /// # Errors
    /// [`OpenError`]; a directory that is refused is left as it was.
    pub fn open(state: &Path) -> Result<Self, OpenError> {
        let claim = claim(state)?;
        let layout = &claim.layout;
        if let Err(error) = empty_tree(&layout.scratch()) {
            // New names there are unique, so what stays is in nobody's way.
            tracing::warn!(path = %layout.scratch().display(), %error, "leftovers stay in scratch");
        }
        if !layout.database().exists() {
            make_database(layout)?;
        }
        let db = open_database(&layout.database())?;
        check_schema(&db)?;
        Ok(Self {
            db,
            commits: Mutex::default(),
            uses: Mutex::default(),
            // A process that looks once and leaves should not look where the last one did.
            looks: AtomicU64::new(std::process::id().into()),
            claim,
        })
    }

    /// Where everything is.
    pub fn paths(&self) -> &Layout {
        &self.claim.layout
    }

    /// Notes that an output was used at `now_unix_s`; it is written with the next transaction, or
    /// when many uses have come together.
    ///
    /// # Errors
    /// [`StoreError::Txn`]; the use is still noted.
    pub fn touch(&self, key: BuildKey, now_unix_s: u64) -> Result<(), StoreError> {
        let pending = {
            let mut uses = self.uses();
            note_use(&mut uses, key, now_unix_s);
            uses.len()
        };
        if pending < USES_MAX { Ok(()) } else { self.flush_uses() }
    }

    fn flush_uses(&self) -> Result<(), StoreError> {
        self.write("record last uses", |_| Ok(()))
    }

    /// Gives a row the last use that is noted but not written.
    pub(crate) fn with_last_use(&self, mut row: OutputRow) -> OutputRow {
        let noted = self.uses().get(&row.record.key).copied().unwrap_or(0);
        row.last_use_unix_s = row.last_use_unix_s.max(noted);
        row
    }

    /// Runs one write transaction, which takes the noted last uses along.
    pub(crate) fn write<T>(
        &self,
        action: &'static str,
        body: impl FnOnce(&WriteTransaction) -> Result<T, TxnError>,
    ) -> Result<T, StoreError> {
        let taken = mem::take(&mut *self.uses());
        let result = self.db.write(action, |txn| {
            write_uses(txn, &taken)?;
            body(txn)
        });
        if result.is_err() {
            let mut uses = self.uses();
            for (key, used_unix_s) in taken {
                note_use(&mut uses, key, used_unix_s);
            }
        }
        result
    }

    /// Waits until no other thread changes an output's directory and rows.
    pub(crate) fn one_commit(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<BuildKey, u64>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.uses().is_empty() {
            return;
        }
        if let Err(error) = self.flush_uses() {
            tracing::warn!(%error, "the last uses of some outputs are forgotten");
        }
    }
}

fn note_use(uses: &mut BTreeMap<BuildKey, u64>, key: BuildKey, used_unix_s: u64) {
    let latest = uses.entry(key).or_default();
    *latest = used_unix_s.max(*latest);
}

fn write_uses(txn: &WriteTransaction, uses: &BTreeMap<BuildKey, u64>) -> Result<(), TxnError> {
    if uses.is_empty() {
        return Ok(());
    }
    let mut table = txn.open_table(OUTPUTS)?;
    for (key, used_unix_s) in uses {
        // A row that is gone or damaged meanwhile has no use to record.
        let found = table.get(key)?.and_then(|bytes| OutputRow::decode(bytes.value()).ok());
        if let Some(mut row) = found {
            row.last_use_unix_s = row.last_use_unix_s.max(*used_unix_s);
            table.insert(key, row.encode().as_slice())?;
        }
    }
    Ok(())
}

/// Makes the database beside its place and then puts it there: it is complete or not there.
fn make_database(layout: &Layout) -> Result<(), OpenError> {
    let index_error = |source: StoreError| OpenError::Index {
        path: layout.root().to_owned(),
        source: Box::new(source),
    };
    let staged = layout.scratch().join("new.redb");
    let db = open_database(&staged)?;
    db.write("make the tables", make_tables).map_err(index_error)?;
    index_files(layout, &db).map_err(index_error)?;
    drop(db);
    fs::rename(&staged, layout.database())
        .and_then(|()| File::open(layout.root())?.sync_all())
        .map_err(|source| OpenError::ReadOnly { path: layout.root().to_owned(), source })
}

/// Makes every table, so that no reader ever finds one missing.
fn make_tables(txn: &WriteTransaction) -> Result<(), TxnError> {
    txn.open_table(SCHEMA)?.insert("version", SCHEMA_VERSION)?;
    txn.open_table(OUTPUTS)?;
    txn.open_table(CONTENTS)?;
    txn.open_table(TREES)?;
    txn.open_table(BLOBS)?;
    txn.open_table(FAILURES)?;
    txn.open_table(JOBS)?;
    txn.open_table(GIT_BLOBS)?;
    txn.open_table(CONFIGURED)?;
    txn.open_table(SELECTIONS)?;
    txn.open_table(IMAGE_NAMES)?;
    Ok(())
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    Database::open(path).map_err(|failure| {
        let path = path.to_owned();
        let error = match failure {
            OpenFailure::Redb(error) => redb::Error::from(error),
            OpenFailure::Damage(damage) => {
                return OpenError::Damaged { path, source: damage.into() };
            }
        };
        match error {
            redb::Error::Io(source) if source.raw_os_error().is_some() => {
                OpenError::Database { path, source: source.into() }
            }
            // The lock file is ours, so it is somebody who goes round it.
            redb::Error::DatabaseAlreadyOpen => OpenError::InUse { path, pid: None },
            damage => OpenError::Damaged { path, source: damage.into() },
        }
    })
}

fn check_schema(db: &Database) -> Result<(), OpenError> {
    let path = || db.path().to_owned();
    let version = db.read("read the schema version", |txn| {
        Ok(txn.open_table(SCHEMA)?.get("version")?.map(|version| version.value()))
    });
    match version {
        Ok(Some(SCHEMA_VERSION)) => Ok(()),
        Ok(Some(found)) => Err(OpenError::Schema { path: path(), found, known: SCHEMA_VERSION }),
        Ok(None) => Err(OpenError::Damaged { path: path(), source: "it has no schema".into() }),
        Err(error) => Err(OpenError::Damaged { path: path(), source: error.into() }),
    }
}
