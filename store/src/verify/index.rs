//! Whether the index is whole, agrees with itself, and with the files beside it.

use std::path::PathBuf;

use kbs_plan::id::{BlobId, BuildKey};
use redb::{ReadTransaction, ReadableTable as _};

use super::{Finding, Repair, Verified};
use crate::blobs::hash_of;
use crate::changes::Totals;
use crate::database::TxnError;
use crate::disk;
use crate::error::StoreError;
use crate::index::{IndexRow, TreeRow};
use crate::layout::Variant;
use crate::policy::Item;
use crate::row::{Ending, LogFacts};
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
            seen.findings.push(wrong("its pages are not what their checksums say".to_owned()));
        }
        let (counted, kept, dangling) = self.db.read("compare the tables", |txn| {
            let kept = Totals::read(&txn.open_table(TOTALS)?)?;
            Ok((count(txn)?, kept, dangling_contents(txn)?))
        })?;
        if counted != kept {
            seen.findings.push(wrong(format!("it counts {kept:?} and holds {counted:?}")));
        }
        if dangling > 0 {
            let problem = format!("{dangling} contents stand for outputs that are not there");
            seen.findings.push(wrong(problem));
        }
        let has_file = |blob: &BlobId| {
            Variant::ALL.iter().any(|variant| self.paths().blob(*blob, *variant).exists())
        };
        let alone = self.db.read("look for the files of the blobs", |txn| {
            let mut alone = Vec::new();
            for row in txn.open_table(BLOBS)?.iter()? {
                let blob = row?.0.value();
                alone.extend((!has_file(&blob)).then_some(blob));
            }
            Ok(alone)
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
        let told = alone.iter().take(ALONE_MAX).map(ToString::to_string);
        seen.findings.extend(told.map(|what| Finding {
            what,
            path: None,
            problem: problem.clone(),
            done: "",
        }));
        if let Some(more) = alone.len().checked_sub(ALONE_MAX).filter(|more| *more > 0) {
            seen.findings.push(wrong(format!("{more} more blobs have a row and no file")));
        }
        Ok(())
    }

    /// Reads every log.
    pub(super) fn verify_logs(
        &self,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        self.each_output(&mut |key, row| keys.extend((row.stored_as == key).then_some(key)))?;
        for key in keys {
            let meta = self.lookup(key)?.and_then(|row| self.read_meta(key, &row).ok());
            if let Some(facts) = meta.and_then(|meta| meta.row.log) {
                self.verify_log((key, Ending::Succeeded), &facts, repair, seen)?;
            }
        }
        for row in self.failures()? {
            if let Some(facts) = &row.log {
                self.verify_log((row.record.key, Ending::Failed), facts, repair, seen)?;
            }
        }
        Ok(())
    }

    fn verify_log(
        &self,
        (key, ending): (BuildKey, Ending),
        facts: &LogFacts,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let path = self.paths().log(key, ending);
        let problem = match self.read_log(key, ending, 0) {
            Ok(Some(mut reader)) => match hash_of(&mut reader) {
                Ok(found) if found == facts.digest => return Ok(()),
                Ok(_) => "it holds other text than was written".to_owned(),
                Err(error) => format!("it cannot be read: {error}"),
            },
            Ok(None) if self.is_forgotten(key, ending)? => return Ok(()),
            Ok(None) => "it is gone".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let done = if repair == Repair::Yes { self.forget_log(key, ending)? } else { "" };
        let what = format!("the log of {key}");
        seen.findings.push(Finding { what, path: Some(path), problem, done });
        Ok(())
    }

    /// Forgets a log that cannot be read. An output is as good without it; a failure is nothing but its
    /// log.
    fn forget_log(&self, key: BuildKey, ending: Ending) -> Result<&'static str, StoreError> {
        match ending {
            Ending::Failed => {
                self.discard(&[Item::Failure(key)])?;
            }
            Ending::Succeeded => {
                let _keys = self.locks.keys([key]);
                let row = self.lookup(key)?;
                let Some(mut meta) = row.and_then(|row| self.read_meta(key, &row).ok()) else {
                    return Ok("");
                };
                meta.row.log = None;
                self.place_meta(&self.paths().meta(key), &meta.encode())?;
                self.record_output(&meta)?;
                disk::remove_file(&self.paths().log(key, ending))?;
            }
        }
        Ok("forgotten")
    }

    /// Whether what a log belongs to was collected meanwhile.
    fn is_forgotten(&self, key: BuildKey, ending: Ending) -> Result<bool, StoreError> {
        Ok(match ending {
            Ending::Succeeded => self.lookup(key)?.is_none(),
            Ending::Failed => self.failure(key)?.is_none(),
        })
    }

    /// Reads every root.
    pub(super) fn verify_roots(&self, seen: &mut Verified) {
        let Err(error) = self.roots() else { return };
        let path: Option<PathBuf> = match &error {
            StoreError::Meta { path, .. } => Some(path.clone()),
            _ => None,
        };
        let problem = format!("{error}; nothing is collected until that file is removed");
        seen.findings.push(Finding { what: "roots".to_owned(), path, problem, done: "" });
    }
}

/// Counts what the tables hold. Rows that cannot be read are told elsewhere.
fn count(txn: &ReadTransaction) -> Result<Totals, TxnError> {
    let mut totals = Totals::default();
    for row in txn.open_table(OUTPUTS)?.iter()? {
        let (key, bytes) = row?;
        totals.outputs += 1;
        if let Ok(row) = IndexRow::decode(bytes.value())
            && row.stored_as == key.value()
        {
            totals.outputs_b += row.size_b;
        }
    }
    for row in txn.open_table(BLOBS)?.iter()? {
        totals.blobs += 1;
        totals.blobs_b += row?.1.value();
    }
    for row in txn.open_table(LAYERS)?.iter()? {
        totals.layers += 1;
        totals.layers_b += TreeRow::decode(row?.1.value()).map_or(0, |row| row.size_b);
    }
    for row in txn.open_table(IMAGES)?.iter()? {
        totals.images += 1;
        totals.images_b += TreeRow::decode(row?.1.value()).map_or(0, |row| row.size_b);
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
