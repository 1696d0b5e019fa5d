//! Rows without files, to measure an index of a size that nobody waits for. Only with the feature
//! `bench`, which no program of the product has.

use std::collections::BTreeMap;

use kbs_plan::id::{BlobId, BuildKey};

use crate::changes::Change;
use crate::error::StoreError;
use crate::index::IndexRow;
use crate::store::Store;
use crate::thing::Thing;

/// The rows of an output that has no files.
#[derive(Debug, Clone)]
pub struct Filling {
    /// Its key.
    pub key: BuildKey,
    /// What the index knows of it.
    pub row: IndexRow,
    /// Its blobs, each with its size in bytes.
    pub blobs: Vec<(BlobId, u64)>,
    /// When it was last used, in Unix seconds; 0 where that is not known.
    pub last_use_unix_s: u64,
}

impl Store {
    /// Writes the rows of outputs that have no files, in one transaction, as those of real ones are
    /// written. A [`verify`](Self::verify) finds them all damaged.
    ///
    /// # Errors
    /// [`StoreError::Txn`]; nothing was written.
    pub fn fill(&self, fillings: Vec<Filling>) -> Result<(), StoreError> {
        let mut changes = Vec::with_capacity(fillings.len() + 1);
        let mut uses = BTreeMap::new();
        for Filling { key, row, blobs, last_use_unix_s } in fillings {
            changes.push(Change::PutOutput { key, row: Box::new(row), blobs });
            if last_use_unix_s > 0 {
                uses.insert(Thing::Output(key), last_use_unix_s);
            }
        }
        changes.push(Change::Use { uses });
        self.submit("fill the index", changes)
    }
}
