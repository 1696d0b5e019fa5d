//! What is taken over from an older database: all that no file knows.
//!
//! Outputs, layers and images are indexed again from their files, so a migration only has to carry
//! along what stands nowhere else.

use std::collections::BTreeMap;
use std::path::Path;

use kbs_plan::id::{Build, BuildKey};
use redb::{ReadTransaction, ReadableTable as _, TableDefinition};
use serde::Deserialize;

use crate::changes::Change;
use crate::database::{Database, TxnError, peek};
use crate::error::StoreError;
use crate::row::{FailureRow, JobRow, Row as _};
use crate::tables::{CONFIGURED, Col, FAILURES, IMAGE_NAMES, JOBS, SCHEMA, USES};
use crate::thing::Thing;

/// The oldest schema that can be migrated.
pub(crate) const OLDEST_SCHEMA: u64 = 1;

/// Rows of an older database for a new one.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) changes: Vec<Change>,
}

/// Outputs of schema 1: one version byte, then JSON.
const OUTPUTS_1: TableDefinition<'_, Col<Build>, &[u8]> = TableDefinition::new("outputs/v1");

/// What schema 1 says of an output and its file does not.
#[derive(Deserialize)]
struct Output1 {
    last_use_unix_s: u64,
}

/// Collects what only the database knows. Rows that cannot be read are left behind.
pub(crate) fn carry(db: &Database, schema: u64) -> Result<Carried, StoreError> {
    db.read("read an older database", |txn| collect(txn, schema))
}

/// As [`carry`], from a database file that is not changed by it; `None` where it cannot be read so.
pub(crate) fn carry_untouched(path: &Path) -> Option<Carried> {
    peek(path, |txn| {
        let schema = txn.open_table(SCHEMA)?.get("version")?.map_or(0, |version| version.value());
        collect(txn, schema)
    })
}

fn collect(txn: &ReadTransaction, schema: u64) -> Result<Carried, TxnError> {
    let mut uses = BTreeMap::new();
    if schema == 1 {
        uses_of_1(txn, &mut uses)?;
    } else {
        uses_of_2(txn, &mut uses)?;
    }
    let mut changes = vec![Change::Use { uses }];
    for row in txn.open_table(FAILURES)?.iter()? {
        if let Ok(row) = FailureRow::decode(row?.1.value()) {
            changes.push(Change::PutFailure { row: Box::new(row) });
        }
    }
    let mut jobs = Vec::new();
    for row in txn.open_table(JOBS)?.iter()? {
        jobs.extend(JobRow::decode(row?.1.value()));
    }
    changes.push(Change::AddJobs { jobs });
    for row in txn.open_table(CONFIGURED)?.iter()? {
        let (key, text) = row?;
        let text = text.value().to_vec();
        changes.push(Change::PutConfigured { key: key.value(), text });
    }
    for row in txn.open_table(IMAGE_NAMES)?.iter()? {
        let (name, digest) = row?;
        let (name, digest) = (name.value().to_owned(), digest.value().to_owned());
        changes.push(Change::NameImage { name, digest });
    }
    Ok(Carried { changes })
}

fn uses_of_1(txn: &ReadTransaction, uses: &mut BTreeMap<Thing, u64>) -> Result<(), TxnError> {
    for row in txn.open_table(OUTPUTS_1)?.iter()? {
        let (key, bytes) = row?;
        let key: BuildKey = key.value();
        let json = bytes.value().split_first().map(|(_, json)| json).unwrap_or_default();
        if let Ok(Output1 { last_use_unix_s }) = serde_json::from_slice(json) {
            uses.insert(Thing::Output(key), last_use_unix_s);
        }
    }
    Ok(())
}

fn uses_of_2(txn: &ReadTransaction, uses: &mut BTreeMap<Thing, u64>) -> Result<(), TxnError> {
    for row in txn.open_table(USES)?.iter()? {
        let (thing, used_unix_s) = row?;
        uses.extend(Thing::from_bytes(thing.value()).map(|thing| (thing, used_unix_s.value())));
    }
    Ok(())
}
