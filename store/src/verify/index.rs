//! Whether the index is whole, agrees with itself, and with the files beside it.

use std::collections::BTreeSet;

use kbs_plan::id::{BlobId, BuildKey};
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Finding, Repair, Verified};
use crate::blobs::hash_of;
use crate::changes::Totals;
use crate::disk;
use crate::error::StoreError;
use crate::index::IndexRow;
use crate::layout::Variant;
use crate::row::{Ending, LogFacts};
use crate::store::Store;
use crate::tables::{BLOBS, CONTENTS, LAYERS, OUTPUTS, TOTALS};

impl Store {
    /// Every blob with a row has a file.
    pub(super) fn verify_blob_rows(
        &self,
        files: &BTreeSet<BlobId>,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        self.db.read("list the blobs", |txn| {
            for row in txn.open_table(BLOBS)?.iter()? {
                let blob = row?.0.value();
                if !files.contains(&blob) {
                    missing.push(blob);
                }
            }
            Ok(())
        })?;
        // One that came after the files were listed is there now.
        missing.retain(|blob| !Variant::ALL.iter().any(|v| self.paths().blob(*blob, *v).exists()));
        seen.findings.extend(missing.into_iter().map(|blob| Finding {
            what: blob.to_string(),
            path: None,
            problem: "its file is gone".to_owned(),
            done: String::new(),
        }));
        Ok(())
    }

    /// Compares the pages of the database with their checksums, and what its tables say of each other.
    pub(super) fn verify_database(&self, seen: &mut Verified) -> Result<(), StoreError> {
        let name = || self.paths().database();
        let mut wrong = |problem: String| {
            let what = "kbs.redb".to_owned();
            let help = "; run `kbs store rebuild-index`";
            let problem = format!("{problem}{help}");
            seen.findings.push(Finding { what, path: Some(name()), problem, done: String::new() });
        };
        if !self.db.check()? {
            wrong("its pages are not what their checksums say".to_owned());
        }
        let (counted, kept, dangling) = self.db.read("compare the tables", |txn| {
            let mut counted = Totals::default();
            let outputs = txn.open_table(OUTPUTS)?;
            for row in outputs.iter()? {
                let (key, bytes) = row?;
                counted.outputs += 1;
                if let Ok(row) = IndexRow::decode(bytes.value())
                    && row.stored_as == key.value()
                {
                    counted.outputs_b += row.size_b;
                }
            }
            let mut dangling = 0;
            for row in txn.open_table(CONTENTS)?.iter()? {
                let key = row?.1.value();
                dangling += u64::from(outputs.get(key)?.is_none());
            }
            let blobs = txn.open_table(BLOBS)?;
            counted.blobs = blobs.len()?;
            for row in blobs.iter()? {
                counted.blobs_b += row?.1.value();
            }
            counted.layers = txn.open_table(LAYERS)?.len()?;
            let kept = Totals::read(&txn.open_table(TOTALS)?)?;
            Ok((counted, kept, dangling))
        })?;
        let comparable = Totals {
            layers_b: kept.layers_b,
            images: kept.images,
            images_b: kept.images_b,
            ..counted
        };
        if comparable != kept {
            wrong(format!("it counts {kept:?} and holds {comparable:?}"));
        }
        if dangling > 0 {
            wrong(format!("{dangling} contents stand for outputs that are not there"));
        }
        Ok(())
    }

    /// Reads every log.
    pub(super) fn verify_logs(
        &self,
        repair: Repair,
        seen: &mut Verified,
    ) -> Result<(), StoreError> {
        let mut logs: Vec<(BuildKey, Ending, LogFacts)> = Vec::new();
        self.each_output(&mut |key, row| {
            if row.stored_as == key
                && let Ok(meta) = self.read_meta(key, &row)
            {
                logs.extend(meta.row.log.map(|facts| (key, Ending::Succeeded, facts)));
            }
        })?;
        for row in self.failures()? {
            logs.extend(row.log.map(|facts| (row.record.key, Ending::Failed, facts)));
        }
        for (key, ending, facts) in logs {
            let path = self.paths().log(key, ending);
            let read = self.read_log(key, ending, 0).map(|reader| {
                reader.map(|mut reader| hash_of(&mut reader).map_err(|error| error.to_string()))
            });
            let problem = match read {
                Ok(Some(Ok(found))) if found == facts.digest => continue,
                Ok(Some(Ok(_))) => "it holds other text than was written".to_owned(),
                Ok(Some(Err(error))) => format!("it cannot be read: {error}"),
                Ok(None) if self.is_gone(key, ending)? => continue,
                Ok(None) => "it is gone".to_owned(),
                Err(error) => format!("it cannot be read: {error}"),
            };
            let mut finding = Finding {
                what: format!("the log of {key}"),
                path: Some(path.clone()),
                problem,
                done: String::new(),
            };
            if repair == Repair::Yes && disk::remove_file(&path)? {
                "removed".clone_into(&mut finding.done);
            }
            seen.findings.push(finding);
        }
        Ok(())
    }

    /// Whether what a log belongs to was collected meanwhile.
    fn is_gone(&self, key: BuildKey, ending: Ending) -> Result<bool, StoreError> {
        Ok(match ending {
            Ending::Succeeded => self.lookup(key)?.is_none(),
            Ending::Failed => self.failure(key)?.is_none(),
        })
    }

    pub(super) fn verify_roots(&self, seen: &mut Verified) {
        if let Err(error) = self.roots() {
            let path = match &error {
                StoreError::Meta { path, .. } => Some(path.clone()),
                _ => None,
            };
            seen.findings.push(Finding {
                what: "the roots".to_owned(),
                path,
                problem: format!("{error}; nothing is collected until it is removed"),
                done: String::new(),
            });
        }
    }
}
