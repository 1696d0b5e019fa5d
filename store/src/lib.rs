//! Rows in redb, bytes in files.
//!
//! Layer: disk. Sync; the only crate that names a redb type; reads neither clock nor environment.
//! Bytes are on disk and synced before a row speaks of them, and everything is written in
//! `scratch/` and renamed, so that a kill at any instruction leaves whole things and litter only.
//! Litter is what no row names: in `scratch/`, where opening sweeps it, or blobs, directories,
//! logs and metadata that got their name but no row. Those are in nobody's way, and a sweep may
//! remove them while no ingest or commit is under way.

mod blobs;
mod check;
mod checkout;
mod claim;
mod database;
mod error;
mod history;
mod ingest;
mod layout;
mod logs;
mod memo;
mod outputs;
mod rebuild;
mod row;
mod search;
mod sources;
mod store;
mod sweep;
mod sync;
mod tables;
#[cfg(test)]
mod tests;

pub use blobs::BlobReader;
pub use claim::OpenError;
pub use error::StoreError;
pub use ingest::Ingest;
pub use layout::{Executable, Layout};
pub use logs::{LogFile, LogReader, LogTail, LogWriter};
pub use outputs::LookUp;
pub use row::{
    Ending, FailureRecord, FailureRow, JobOutcome, JobRow, LogFacts, OutputRecord, OutputRow,
    Phase, RowError, StoredAs, Usage, UsageSample,
};
pub use search::Found;
pub use sources::{SourceEntry, SourceError, SourceKind};
pub use store::Store;
pub use sweep::remove_tree;
