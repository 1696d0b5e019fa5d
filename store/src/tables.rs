//! Every table of the database.
//!
//! | table            | key                     | value                          | written by               |
//! |------------------|-------------------------|--------------------------------|--------------------------|
//! | `schema`         | `"version"`             | `u64`                          | `Store::open`            |
//! | `outputs/v1`     | `Col<Build>`, 32 B      | `OutputRow`, encoded           | `commit`, `alias`, touch |
//! | `contents/v1`    | `Col<Content>`, 32 B    | `Col<Build>`                   | `commit`                 |
//! | `trees/v1`       | `Col<Directory>`, `u32` | `TreeRow`, encoded: one entry  | `commit`                 |
//! | `blobs/v1`       | `Col<Blob>`, 32 B       | size in bytes, `u64`           | `commit`                 |
//! | `failures/v1`    | `Col<Build>`, 32 B      | `FailureRow`, encoded          | `record_failure`         |
//! | `jobs/v1`        | `u64`, growing          | `JobRow`, encoded              | `record_jobs`            |
//! | `git-blobs/v1`   | git object id, 20 B     | `Col<Blob>`, size in bytes     | `ingest_source`          |
//! | `configured/v1`  | `Col<Configure>`, 32 B  | text as given                  | `remember_configured`    |
//! | `selections/v1`  | 32 B                    | `Col<Directory>`               | `remember_selection`     |
//! | `image-names/v1` | name                    | digest                         | `set_image_name`         |
//!
//! Row values are bytes and not typed: redb cannot report a value that does not decode.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use kbs_plan::id::{Blob, Build, Configure, Content, Directory, ID_LEN, Id, Kind};
use redb::{Key, TableDefinition, TypeName, Value};

/// The schema that this crate writes; a database with a greater one is refused.
pub(crate) const SCHEMA_VERSION: u64 = 1;

pub(crate) const SCHEMA: TableDefinition<'_, &str, u64> = TableDefinition::new("schema");
pub(crate) const OUTPUTS: TableDefinition<'_, Col<Build>, &[u8]> =
    TableDefinition::new("outputs/v1");
pub(crate) const CONTENTS: TableDefinition<'_, Col<Content>, Col<Build>> =
    TableDefinition::new("contents/v1");
pub(crate) const TREES: TableDefinition<'_, (Col<Directory>, u32), &[u8]> =
    TableDefinition::new("trees/v1");
pub(crate) const BLOBS: TableDefinition<'_, Col<Blob>, u64> = TableDefinition::new("blobs/v1");
pub(crate) const FAILURES: TableDefinition<'_, Col<Build>, &[u8]> =
    TableDefinition::new("failures/v1");
pub(crate) const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs/v1");
pub(crate) const GIT_BLOBS: TableDefinition<'_, &[u8; 20], (Col<Blob>, u64)> =
    TableDefinition::new("git-blobs/v1");
pub(crate) const CONFIGURED: TableDefinition<'_, Col<Configure>, &[u8]> =
    TableDefinition::new("configured/v1");
pub(crate) const SELECTIONS: TableDefinition<'_, &[u8; 32], Col<Directory>> =
    TableDefinition::new("selections/v1");
pub(crate) const IMAGE_NAMES: TableDefinition<'_, &str, &str> =
    TableDefinition::new("image-names/v1");

/// An [`Id`] as a redb column: its 32 bytes, in byte order.
pub(crate) struct Col<K>(PhantomData<fn() -> K>);

impl<K> fmt::Debug for Col<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Col")
    }
}

impl<K: Kind> Value for Col<K> {
    type SelfType<'a> = Id<K>;
    type AsBytes<'a> = &'a [u8; ID_LEN];

    fn fixed_width() -> Option<usize> {
        Some(ID_LEN)
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Id<K>
    where
        Self: 'a,
    {
        // redb hands out fixed-width values at their width.
        let mut bytes = [0; ID_LEN];
        bytes.copy_from_slice(data);
        Id::from_bytes(bytes)
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Id<K>) -> &'a [u8; ID_LEN]
    where
        Self: 'b,
    {
        value.as_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::new(&format!("kbs::{}", K::PREFIX))
    }
}

impl<K: Kind> Key for Col<K> {
    fn compare(left: &[u8], right: &[u8]) -> Ordering {
        left.cmp(right)
    }
}
