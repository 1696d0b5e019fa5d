//! What happened: the latest failure of each key, and the latest jobs.

use kbs_plan::id::BuildKey;
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use crate::error::StoreError;
use crate::logs::LogFile;
use crate::row::{Ending, FailureRecord, FailureRow, JobRow, Row as _};
use crate::store::Store;
use crate::sync::settle;
use crate::tables::{FAILURES, JOBS};

/// Jobs beyond this many are forgotten, oldest first.
const JOBS_MAX: u64 = 10_000;

impl Store {
    /// Records a failed build and its log, in place of an earlier failure of the same key.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Txn`].
    pub fn record_failure(
        &self,
        record: &FailureRecord,
        log: Option<LogFile>,
    ) -> Result<FailureRow, StoreError> {
        let facts = log.as_ref().map(|log| log.facts().clone());
        let row = FailureRow { record: record.clone(), log: facts };
        let _one = self.one_commit();
        self.place_log(record.key, Ending::Failed, log)?;
        settle(self.paths().root(), &[self.paths().logs()].into())?;
        self.write("record a failure", |txn| {
            txn.open_table(FAILURES)?.insert(record.key, row.encode().as_slice())?;
            Ok(())
        })?;
        Ok(row)
    }

    /// The latest failure of a key; it may have been built since.
    ///
    /// # Errors
    /// [`StoreError::Row`], [`StoreError::Txn`].
    pub fn failure(&self, key: BuildKey) -> Result<Option<FailureRow>, StoreError> {
        let row = self.db.read("look up a failure", |txn| {
            let table = txn.open_table(FAILURES)?;
            Ok(table.get(key)?.map(|bytes| FailureRow::decode(bytes.value())))
        })?;
        row.transpose().map_err(|source| StoreError::Row {
            table: "failures",
            key: key.to_string(),
            source,
        })
    }

    /// Every key's latest failure, newest first. Rows that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn failures(&self) -> Result<Vec<FailureRow>, StoreError> {
        let mut rows = self.db.read("list the failures", |txn| {
            let mut rows = Vec::new();
            for row in txn.open_table(FAILURES)?.iter()? {
                let (key, bytes) = row?;
                match FailureRow::decode(bytes.value()) {
                    Ok(row) => rows.push(row),
                    Err(error) => {
                        tracing::warn!(build.key = %key.value(), %error, "a failure is skipped");
                    }
                }
            }
            Ok(rows)
        })?;
        rows.sort_by_key(|row| (std::cmp::Reverse(row.record.created_unix_s), row.record.key));
        Ok(rows)
    }

    /// Adds jobs to the history, oldest first, and forgets those that are too many.
    ///
    /// One transaction whatever their number: collect them where many come together.
    ///
    /// # Errors
    /// [`StoreError::Txn`]; none was added.
    pub fn record_jobs(&self, jobs: &[JobRow]) -> Result<(), StoreError> {
        self.write("record jobs", |txn| {
            let mut table = txn.open_table(JOBS)?;
            let last = table.last()?.map(|(number, _)| number.value());
            for (number, job) in (last.map_or(0, |last| last + 1)..).zip(jobs) {
                table.insert(number, job.encode().as_slice())?;
            }
            while table.len()? > JOBS_MAX {
                table.pop_first()?;
            }
            Ok(())
        })
    }

    /// The latest `limit` jobs, newest first. Rows that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn jobs(&self, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        self.db.read("list the jobs", |txn| {
            let mut rows = Vec::new();
            for row in txn.open_table(JOBS)?.iter()?.rev().take(limit) {
                match JobRow::decode(row?.1.value()) {
                    Ok(row) => rows.push(row),
                    Err(error) => tracing::warn!(%error, "a job is skipped"),
                }
            }
            Ok(rows)
        })
    }
}
