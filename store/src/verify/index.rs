//! Whether the index is whole, agrees with itself, and with the files beside it.

use kbs_plan::id::{BlobId, BuildKey};
use redb::{ReadTransaction, ReadableTable as _};

use super::{Finding, Repair, Verified};
use crate::blobs::hash_of;
use crate::changes::{Change, Totals};
use crate::database::TxnError;
use crate::disk;
use crate::error::{At as _, StoreError, lacks_means};
use crate::index::{IndexRow, TreeRow};
use crate::layout::Variant;
use crate::row::Ending;
use crate::store::Store;
use crate::tables::{BLOBS, CONTENTS, IMAGES, LAYERS, OUTPUTS, TOTALS};

/// What to do about an index that is wrong.
const AGAIN: &str = "make it again with `kbs store rebuild-index`";

/// So many blobs without a file are told one by one; the others are counted.
const ALONE_MAX: usize = 10_000;

impl Store {
    /// Compares the pages of the database with their checksums, and its tables with each other and
    /// with the names of the blobs' files.
    pub(super) fn verify_index(&self, seen: &mut Verified) -> Result<(), StoreError> {
        let path = self.paths().database();
        let wrong = |problem: String| Finding {
            what: "kbs.redb".to_owned(),
            path: Some(path.clone()),
            problem: format!("{problem}: {AGAIN}"),
            done: "",
        };
        if !self.db.check()? {
            seen.find(wrong("its pages are not what their checksums say".to_owned()));
        }
        let (counted, kept, dangling) = self.db.read("compare the tables", |txn| {
            let kept = Totals::read(&txn.open_table(TOTALS)?)?;
            Ok((count(txn)?, kept, dangling_contents(txn)?))
        })?;
        if counted != kept {
            seen.find(wrong(format!("it counts {kept:?} and holds {counted:?}")));
        }
        if dangling > 0 {
            let problem = format!("{dangling} contents stand for outputs that are not there");
            seen.find(wrong(problem));
        }
        let has_file = |blob: &BlobId| {
            Variant::ALL.iter().any(|variant| self.paths().blob(*blob, *variant).exists())
        };
        let (alone, more) = self.db.read("look for the files of the blobs", |txn| {
            let (mut alone, mut more) = (Vec::new(), 0_u64);
            for row in txn.open_table(BLOBS)?.iter()? {
                let blob = row?.0.value();
                match (has_file(&blob), alone.len() < ALONE_MAX) {
                    (true, _) => {}
                    (false, true) => alone.push(blob),
                    (false, false) => more += 1,
                }
            }
            Ok((alone, more))
        })?;
        // Those that were collected meanwhile have no row any more, and those that came back a file.
        let mut alone = self.db.read("look for the rows of blobs", |txn| {
            let rows = txn.open_table(BLOBS)?;
            let mut still = Vec::new();
            for blob in alone {
                still.extend(rows.get(blob)?.map(|_| blob));
            }
            Ok(still)
        })?;
        alone.retain(|blob| !has_file(blob));
        let problem = format!("it has a row and no file: {AGAIN}");
        let told = alone.iter().map(ToString::to_string);
        for what in told {
            seen.find(Finding { what, path: None, problem: problem.clone(), done: "" });
        }
        if more > 0 {
            seen.find(wrong(format!("{more} more blobs have a row and no file")));
        }
        Ok(())
    }

    /// Reads every log.
    pub(super) fn verify_logs(
        &self,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let mut logs = Vec::new();
        self.each_output(&mut |key, row| {
            logs.extend((row.stored_as == key).then_some((key, Ending::Succeeded)));
        })?;
        logs.extend(self.failures()?.iter().map(|row| (row.record.key, Ending::Failed)));
        for (key, ending) in logs {
            if self.damage_of_log(key, ending)?.is_none() {
                continue;
            }
            // Looked at again while nobody can put another one in its place.
            let _keys = self.locks.keys([key]);
            let Some(problem) = self.damage_of_log(key, ending)? else { continue };
            let done = if repair == Repair::Yes { self.forget_log(key, ending)? } else { "" };
            let (what, path) = (format!("the log of {key}"), self.paths().log(key, ending));
            seen.find(Finding { what, path: Some(path), problem, done });
        }
        Ok(())
    }

    /// Compares a log with what is known of it. An output is as good without one; a failure is nothing
    /// but its log.
    fn damage_of_log(&self, key: BuildKey, ending: Ending) -> Result<Option<String>, StoreError> {
        let facts = match ending {
            Ending::Succeeded => {
                let Some(row) = self.lookup(key)? else { return Ok(None) };
                self.read_meta(key, &row)?.ok().and_then(|meta| meta.row.log)
            }
            Ending::Failed => self.failure(key)?.and_then(|row| row.log),
        };
        let Some(facts) = facts else { return Ok(None) };
        let found = match self.read_log(key, ending, 0) {
            Ok(None) => return Ok((ending == Ending::Failed).then(|| "it is gone".to_owned())),
            Ok(Some(mut reader)) => hash_of(&mut reader).at("read", &self.paths().log(key, ending)),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) if found == facts.digest => Ok(None),
            Ok(_) => Ok(Some("it holds other text than was written".to_owned())),
            Err(StoreError::Io { source, .. }) if !lacks_means(&source) => {
                Ok(Some(format!("it cannot be read: {source}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets a log that cannot be read, and a failure with it. The key is the caller's.
    fn forget_log(&self, key: BuildKey, ending: Ending) -> Result<&'static str, StoreError> {
        if ending == Ending::Failed {
            self.submit("forget a failure", vec![Change::DropFailure { key }])?;
            disk::remove_file(&self.paths().failure_meta(key))?;
        }
        disk::remove_file(&self.paths().log(key, ending))?;
        Ok("forgotten")
    }

    /// Reads every root.
    pub(super) fn verify_roots(&self, seen: &mut Verified) -> Result<(), StoreError> {
        match self.roots() {
            Err(StoreError::Meta { path, reason }) => {
                let problem = format!("{reason}; nothing is collected until it is removed");
                let (what, path) = ("roots".to_owned(), Some(path));
                seen.find(Finding { what, path, problem, done: "" });
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

/// Counts what the tables hold. Rows that cannot be read are told elsewhere, and sizes that nothing
/// can have stop nobody.
fn count(txn: &ReadTransaction) -> Result<Totals, TxnError> {
    let mut totals = Totals::default();
    for row in txn.open_table(OUTPUTS)?.iter()? {
        let (key, bytes) = row?;
        totals.outputs += 1;
        if let Ok(row) = IndexRow::decode(bytes.value())
            && row.stored_as == key.value()
        {
            totals.outputs_b = totals.outputs_b.saturating_add(row.size_b);
        }
    }
    for row in txn.open_table(BLOBS)?.iter()? {
        totals.blobs += 1;
        totals.blobs_b = totals.blobs_b.saturating_add(row?.1.value());
    }
    for row in txn.open_table(LAYERS)?.iter()? {
        totals.layers += 1;
        let size_b = TreeRow::decode(row?.1.value()).map_or(0, |row| row.size_b);
        totals.layers_b = totals.layers_b.saturating_add(size_b);
    }
    for row in txn.open_table(IMAGES)?.iter()? {
        totals.images += 1;
        let size_b = TreeRow::decode(row?.1.value()).map_or(0, |row| row.size_b);
        totals.images_b = totals.images_b.saturating_add(size_b);
    }
    Ok(totals)
}

/// Counts content keys that stand for outputs that are not there.
fn dangling_contents(txn: &ReadTransaction) -> Result<u64, TxnError> {
    let outputs = txn.open_table(OUTPUTS)?;
    let mut dangling = 0;
    for row in txn.open_table(CONTENTS)?.iter()? {
        dangling += u64::from(outputs.get(row?.1.value())?.is_none());
    }
    Ok(dangling)
}
