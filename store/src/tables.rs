//! Every table of the database.
//!
//! | table            | key                              | value                          |
//! |------------------|----------------------------------|--------------------------------|
//! | `schema`         | `"version"`                      | `u64`                          |
//! | `outputs/v2`     | `Col<Build>`, 32 B               | [`IndexRow`](crate::IndexRow)  |
//! | `contents/v1`    | `Col<Content>`, 32 B             | `Col<Build>`                   |
//! | `aliases/v1`     | two `Col<Build>`: base, alias    | nothing                        |
//! | `blobs/v1`       | `Col<Blob>`, 32 B                | size in bytes, `u64`           |
//! | `layers/v1`      | a layer's name, 32 B             | [`TreeRow`](crate::TreeRow)    |
//! | `images/v1`      | SHA-256 of the manifest, 32 B    | [`TreeRow`](crate::TreeRow)    |
//! | `uses/v1`        | [`Thing`](crate::Thing), 33 B    | Unix seconds, `u64`            |
//! | `failures/v1`    | `Col<Build>`, 32 B               | `FailureRow`, encoded          |
//! | `jobs/v1`        | `u64`, growing                   | `JobRow`, encoded              |
//! | `configured/v1`  | `Col<Configure>`, 32 B           | text as given                  |
//! | `image-names/v1` | name                             | digest                         |
//! | `totals/v1`      | name                             | number, `u64`                  |
//!
//! All are written by [`changes`](crate::changes) alone. Row values are bytes and not typed: redb
//! cannot report a value that does not decode.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use kbs_plan::id::{Blob, Build, Configure, Content, ID_LEN, Id, Kind};
use redb::{Key, TableDefinition, TypeName, Value};

/// The schema that this crate writes; a database with a greater one is refused, one with a smaller
/// one migrated.
pub const SCHEMA_VERSION: u64 = 2;

pub(crate) const SCHEMA: TableDefinition<'_, &str, u64> = TableDefinition::new("schema");
pub(crate) const OUTPUTS: TableDefinition<'_, Col<Build>, &[u8]> =
    TableDefinition::new("outputs/v2");
pub(crate) const CONTENTS: TableDefinition<'_, Col<Content>, Col<Build>> =
    TableDefinition::new("contents/v1");
pub(crate) const ALIASES: TableDefinition<'_, (Col<Build>, Col<Build>), ()> =
    TableDefinition::new("aliases/v1");
pub(crate) const BLOBS: TableDefinition<'_, Col<Blob>, u64> = TableDefinition::new("blobs/v1");
pub(crate) const LAYERS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("layers/v1");
pub(crate) const IMAGES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("images/v1");
pub(crate) const USES: TableDefinition<'_, &[u8; 33], u64> = TableDefinition::new("uses/v1");
pub(crate) const FAILURES: TableDefinition<'_, Col<Build>, &[u8]> =
    TableDefinition::new("failures/v1");
pub(crate) const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs/v1");
pub(crate) const CONFIGURED: TableDefinition<'_, Col<Configure>, &[u8]> =
    TableDefinition::new("configured/v1");
pub(crate) const IMAGE_NAMES: TableDefinition<'_, &str, &str> =
    TableDefinition::new("image-names/v1");
pub(crate) const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals/v1");

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
