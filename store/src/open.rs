//! Opens the database, or makes it: from nothing, from the files, or from that of an older kbs.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use redb::ReadTransaction;

use crate::changes::make_tables;
use crate::claim::OpenError;
use crate::database::{Database, OpenFailure, TxnError, peek};
use crate::disk;
use crate::error::StoreError;
use crate::layout::Layout;
use crate::migrate::{Carried, OLDEST_SCHEMA, carry, carry_untouched};
use crate::rebuild::index_files;
use crate::tables::{SCHEMA, SCHEMA_VERSION};

/// Which database is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    /// The one that is there.
    AsItIs,
    /// One made again from the files.
    Anew,
}

/// Opens the database of a state directory that is ours.
pub(crate) fn open_index(layout: &Layout, index: Index) -> Result<Database, OpenError> {
    let place = layout.database();
    let is_there = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Behind a link that leads nowhere is one that cannot be reached, not one that was never made.
        _ => fs::metadata(&place)
            .map(|_| true)
            .map_err(|source| OpenError::Database { path: place.clone(), source: source.into() })?,
    };
    if !is_there {
        make_database(layout, Carried::default())?;
    } else if index == Index::Anew {
        // What only the old one knows comes along if it can be read.
        let carried = carry_untouched(&place).or_else(|| {
            let old = open_database(&place).ok()?;
            let version = read_schema(&old).ok()?;
            carry(&old, version).ok()
        });
        keep(layout, "replaced")?;
        make_database(layout, carried.unwrap_or_default())?;
    } else if let Some(found @ OLDEST_SCHEMA..SCHEMA_VERSION) = peek(&place, schema) {
        // Opened for writing, it would not be any more what is to be kept.
        if let Some(carried) = carry_untouched(&place) {
            keep(layout, &format!("schema-{found}"))?;
            make_database(layout, carried)?;
        }
    }
    let db = open_database(&place)?;
    match read_schema(&db)? {
        SCHEMA_VERSION => Ok(db),
        found @ OLDEST_SCHEMA..SCHEMA_VERSION => {
            let carried = carry(&db, found).map_err(|source| index_error(layout, source))?;
            drop(db);
            keep(layout, &format!("schema-{found}"))?;
            make_database(layout, carried)?;
            open_database(&place)
        }
        found => Err(OpenError::Schema { path: place, found, known: SCHEMA_VERSION }),
    }
}

/// Gives the database that is there a second name, under which it stays.
fn keep(layout: &Layout, why: &str) -> Result<(), OpenError> {
    let kept = layout.kept_database(why);
    let staged = layout.scratch().join("kept.redb");
    let copy = || {
        // A copy and not a link: the file that is there is replaced, never changed, but nobody
        // should have to know that.
        disk::step("write")?;
        fs::copy(layout.database(), &staged)?;
        disk::step("sync")?;
        File::open(&staged)?.sync_all()?;
        disk::try_rename(&staged, &kept)?;
        disk::step("sync")?;
        File::open(layout.root())?.sync_all()
    };
    copy().map_err(|source| OpenError::Database { path: kept.clone(), source: source.into() })?;
    tracing::info!(path = %kept.display(), "the database that was there is kept");
    Ok(())
}

/// Makes the database beside its place and then puts it there: it is complete or not there.
fn make_database(layout: &Layout, carried: Carried) -> Result<(), OpenError> {
    let staged = layout.scratch().join("new.redb");
    // What an opening has left that could not empty the directory.
    disk::remove_file(&staged).map_err(|source| index_error(layout, source))?;
    let db = open_database(&staged)?;
    db.write("make the tables", make_tables)
        .and_then(|()| index_files(layout, &db, carried))
        .map_err(|source| index_error(layout, source))?;
    drop(db);
    disk::try_rename(&staged, &layout.database())
        .and_then(|()| disk::step("sync"))
        .and_then(|()| File::open(layout.root())?.sync_all())
        .map_err(|source| OpenError::ReadOnly { path: layout.root().to_owned(), source })
}

fn index_error(layout: &Layout, source: StoreError) -> OpenError {
    OpenError::Index { path: layout.root().to_owned(), source: Box::new(source) }
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

fn read_schema(db: &Database) -> Result<u64, OpenError> {
    let damaged = |source| OpenError::Damaged { path: db.path().to_owned(), source };
    match db.read("read the schema version", schema) {
        Ok(0) => Err(damaged("it has no schema".into())),
        Ok(version) => Ok(version),
        Err(error) => Err(damaged(error.into())),
    }
}

/// The schema of a database; 0 where it says none.
fn schema(txn: &ReadTransaction) -> Result<u64, TxnError> {
    Ok(txn.open_table(SCHEMA)?.get("version")?.map_or(0, |version| version.value()))
}
