//! What happened: the latest failure of each key, and the latest jobs.

use std::fs;

use kbs_plan::id::BuildKey;
use redb::ReadableTable as _;

use crate::changes::Change;
use crate::disk;
use crate::error::StoreError;
use crate::logs::LogFile;
use crate::meta::encode_failure;
use crate::row::{Ending, FailureRecord, FailureRow, JobRow, Row as _};
use crate::store::Store;
use crate::tables::{FAILURES, JOBS};

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
        let _keys = self.locks.keys([record.key]);
        self.place_log(record.key, Ending::Failed, log)?;
        disk::sync(&self.paths().logs())?;
        self.place_meta(&self.paths().failure_meta(record.key), &encode_failure(&row))?;
        let change = Change::PutFailure { row: Box::new(row.clone()) };
        self.submit("record a failure", vec![change])?;
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

    /// Bytes of the log of a failure, as the disk has it; 0 where there is none.
    pub fn failure_log_b(&self, key: BuildKey) -> u64 {
        let log = fs::metadata(self.paths().log(key, Ending::Failed));
        log.map_or(0, |log| log.len())
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
        self.submit("record jobs", vec![Change::AddJobs { jobs: jobs.to_vec() }])
    }

    /// Notes a job that ended; it is written with the next transaction, or when many have come
    /// together.
    ///
    /// # Errors
    /// [`StoreError::Txn`]; the job is still noted.
    pub fn note_job(&self, job: JobRow) -> Result<(), StoreError> {
        if self.writer.note_job(job) { self.flush_notes() } else { Ok(()) }
    }

    /// The latest `limit` jobs, newest first. Rows that cannot be read are left out.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn jobs(&self, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        if self.writer.has_notes() {
            self.flush_notes()?;
        }
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
