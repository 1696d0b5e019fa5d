//! Rows in redb, bytes in files.
//!
//! Layer: disk. Sync; the only crate that names a redb type; reads neither clock nor environment.
//! Bytes are on disk and synced before a row speaks of them, and everything is written in
//! `scratch/` and gets its name when it is whole, so that a kill at any instruction leaves whole
//! things and litter only.
//! Litter is what no row names: in `scratch/`, where opening sweeps it, or blobs, directories,
//! logs and metadata that got their name but no row. Those are in nobody's way, and a sweep may
//! remove them while no ingest or commit is under way.

mod ballast;
mod blobs;
mod changes;
mod check;
mod checkout;
mod claim;
mod collect;
mod database;
mod disk;
mod error;
#[cfg(test)]
mod faults;
#[cfg(feature = "bench")]
mod fill;
mod history;
mod index;
mod ingest;
mod layout;
mod litter;
mod locks;
mod logs;
mod memo;
mod meta;
mod migrate;
mod open;
mod outputs;
mod parallel;
mod policy;
mod rebuild;
mod removal;
mod roots;
mod row;
mod search;
mod sharing;
mod sources;
mod stage;
mod store;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;
mod thing;
mod usage;
mod verify;
mod writer;

pub use blobs::BlobReader;
pub use changes::Totals;
pub use claim::OpenError;
pub use collect::Frees;
pub use error::StoreError;
#[cfg(feature = "bench")]
pub use fill::Filling;
pub use index::{IndexRow, TreeRow};
pub use ingest::{Incomer, Ingest, Ingested};
pub use layout::{Executable, Layout};
pub use logs::{LogFile, LogReader, LogTail, LogWriter};
pub use outputs::LookUp;
pub use policy::{Candidate, Decision, Holder, Item, Policy, Reason, decide};
pub use removal::{Removed, TakenOut};
pub use roots::{Root, RootKind, RootState};
pub use row::{
    ConfigDifference, Ending, FailureRecord, FailureRow, JobOutcome, JobRow, LogFacts,
    OutputRecord, OutputRow, Phase, RowError, StoredAs, Usage, UsageSample,
};
pub use search::Found;
pub use sources::{NewLayer, SourceEntry, SourceError, SourceKind};
pub use store::Store;
pub use sweep::remove_tree;
pub use tables::SCHEMA_VERSION;
pub use thing::{Lease, Thing};
pub use usage::PartUsage;
pub use verify::{FINDINGS_MAX, Finding, Repair, Scope, Verified};
