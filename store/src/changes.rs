//! Everything that can happen to the rows, as values; several of them become one transaction.

use std::collections::BTreeMap;

use kbs_plan::id::{Blob, BlobId, Build, BuildKey, ConfigureKey, Content};
use redb::{ReadableTable as _, ReadableTableMetadata as _, Table, WriteTransaction};

use crate::database::TxnError;
use crate::index::{IndexRow, TreeRow};
use crate::row::{FailureRow, JobRow, Row as _};
use crate::tables::{
    ALIASES, BLOBS, CONFIGURED, CONTENTS, Col, FAILURES, IMAGE_NAMES, IMAGES, JOBS, LAYERS,
    OUTPUTS, SCHEMA, SCHEMA_VERSION, TOTALS, USES,
};
use crate::thing::Thing;

/// Jobs beyond this many are forgotten, oldest first.
const JOBS_MAX: u64 = 10_000;

/// One thing that happens to the rows.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// An output, and the size in bytes of each blob that it is made of.
    PutOutput { key: BuildKey, row: Box<IndexRow>, blobs: Vec<(BlobId, u64)> },
    /// No output of this key any more.
    DropOutput { key: BuildKey },
    /// No output of this key any more, and none that is served from its directory.
    DropDirectory { key: BuildKey },
    /// A layer or an image, and its blobs; none where its files are its own.
    PutTree { thing: Thing, row: TreeRow, blobs: Vec<(BlobId, u64)> },
    /// No such layer or image any more.
    DropTree { thing: Thing },
    /// No files of these blobs any more.
    DropBlobs { blobs: Vec<BlobId> },
    /// When things were last used, in Unix seconds; earlier than known changes nothing.
    Use { uses: BTreeMap<Thing, u64> },
    /// The latest failure of its key.
    PutFailure { row: Box<FailureRow> },
    /// No failure of this key any more.
    DropFailure { key: BuildKey },
    /// Jobs that ended, oldest first.
    AddJobs { jobs: Vec<JobRow> },
    /// A normalised configuration.
    PutConfigured { key: ConfigureKey, text: Vec<u8> },
    /// What an image name stands for from now on.
    NameImage { name: String, digest: String },
    /// An image name that stands for nothing any more.
    UnnameImage { name: String },
}

/// Makes every table, so that no reader ever finds one missing.
pub(crate) fn make_tables(txn: &WriteTransaction) -> Result<(), TxnError> {
    txn.open_table(SCHEMA)?.insert("version", SCHEMA_VERSION)?;
    txn.open_table(FAILURES)?;
    txn.open_table(JOBS)?;
    txn.open_table(CONFIGURED)?;
    txn.open_table(IMAGE_NAMES)?;
    Rows::open(txn)?.close()
}

/// Makes changes in order.
pub(crate) fn apply(txn: &WriteTransaction, changes: &[Change]) -> Result<(), TxnError> {
    let mut rows = Rows::open(txn)?;
    for change in changes {
        match change {
            Change::PutOutput { key, row, blobs } => rows.put_output(*key, row, blobs)?,
            Change::DropOutput { key } => rows.drop_output(*key)?,
            Change::DropDirectory { key } => rows.drop_directory(*key)?,
            Change::PutTree { thing, row, blobs } => rows.put_tree(*thing, row, blobs)?,
            Change::DropTree { thing } => rows.drop_tree(*thing)?,
            Change::DropBlobs { blobs } => rows.drop_blobs(blobs)?,
            Change::Use { uses } => rows.note_uses(uses)?,
            Change::PutFailure { row } => {
                txn.open_table(FAILURES)?.insert(row.record.key, row.encode().as_slice())?;
            }
            Change::DropFailure { key } => {
                txn.open_table(FAILURES)?.remove(key)?;
            }
            Change::AddJobs { jobs } => add_jobs(txn, jobs)?,
            Change::PutConfigured { key, text } => {
                txn.open_table(CONFIGURED)?.insert(key, text.as_slice())?;
            }
            Change::NameImage { name, digest } => {
                txn.open_table(IMAGE_NAMES)?.insert(name.as_str(), digest.as_str())?;
            }
            Change::UnnameImage { name } => {
                txn.open_table(IMAGE_NAMES)?.remove(name.as_str())?;
            }
        }
    }
    rows.close()
}

fn add_jobs(txn: &WriteTransaction, jobs: &[JobRow]) -> Result<(), TxnError> {
    let mut table = txn.open_table(JOBS)?;
    let last = table.last()?.map(|(number, _)| number.value());
    for (number, job) in (last.map_or(0, |last| last + 1)..).zip(jobs) {
        table.insert(number, job.encode().as_slice())?;
    }
    while table.len()? > JOBS_MAX {
        table.pop_first()?;
    }
    Ok(())
}

/// How much there is, kept with every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of outputs, those that equal another one included.
    pub outputs: u64,
    /// Bytes of all files of all output directories.
    pub outputs_b: u64,
    /// Number of blobs.
    pub blobs: u64,
    /// Bytes of all blobs.
    pub blobs_b: u64,
    /// Number of source layers.
    pub layers: u64,
    /// Bytes of all files of all source layers.
    pub layers_b: u64,
    /// Number of images.
    pub images: u64,
    /// Bytes of all files of all images.
    pub images_b: u64,
}

impl Totals {
    const NAMES: [&'static str; 8] =
        ["outputs", "outputs-b", "blobs", "blobs-b", "layers", "layers-b", "images", "images-b"];

    /// Reads them.
    pub(crate) fn read(
        table: &impl redb::ReadableTable<&'static str, u64>,
    ) -> Result<Self, TxnError> {
        let mut values = [0; 8];
        for (value, name) in values.iter_mut().zip(Self::NAMES) {
            *value = table.get(name)?.map_or(0, |value| value.value());
        }
        let [outputs, outputs_b, blobs, blobs_b, layers, layers_b, images, images_b] = values;
        Ok(Self { outputs, outputs_b, blobs, blobs_b, layers, layers_b, images, images_b })
    }

    fn write(self, table: &mut Table<'_, &'static str, u64>) -> Result<(), TxnError> {
        let Self { outputs, outputs_b, blobs, blobs_b, layers, layers_b, images, images_b } = self;
        let values = [outputs, outputs_b, blobs, blobs_b, layers, layers_b, images, images_b];
        for (name, value) in Self::NAMES.into_iter().zip(values) {
            table.insert(name, value)?;
        }
        Ok(())
    }
}

/// The rows of all aliases of a key.
pub(crate) fn all_of(key: BuildKey) -> std::ops::RangeInclusive<(BuildKey, BuildKey)> {
    (key, BuildKey::from_bytes([0; 32]))..=(key, BuildKey::from_bytes([0xff; 32]))
}

/// Counts one more of `size_b` bytes, or one less.
fn count((number, sum_b): (&mut u64, &mut u64), size_b: u64, step: Step) {
    // Saturating: a damaged count must stop nobody, and is found by `verify`.
    match step {
        Step::More => {
            *number = number.saturating_add(1);
            *sum_b = sum_b.saturating_add(size_b);
        }
        Step::Less => {
            *number = number.saturating_sub(1);
            *sum_b = sum_b.saturating_sub(size_b);
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    More,
    Less,
}

/// The tables whose rows depend on each other.
struct Rows<'t> {
    outputs: Table<'t, Col<Build>, &'static [u8]>,
    contents: Table<'t, Col<Content>, Col<Build>>,
    aliases: Table<'t, (Col<Build>, Col<Build>), ()>,
    blobs: Table<'t, Col<Blob>, u64>,
    layers: Table<'t, &'static [u8; 32], &'static [u8]>,
    images: Table<'t, &'static [u8; 32], &'static [u8]>,
    uses: Table<'t, &'static [u8; 33], u64>,
    totals_table: Table<'t, &'static str, u64>,
    totals: Totals,
}

impl<'t> Rows<'t> {
    fn open(txn: &'t WriteTransaction) -> Result<Self, TxnError> {
        let totals_table = txn.open_table(TOTALS)?;
        Ok(Self {
            outputs: txn.open_table(OUTPUTS)?,
            contents: txn.open_table(CONTENTS)?,
            aliases: txn.open_table(ALIASES)?,
            blobs: txn.open_table(BLOBS)?,
            layers: txn.open_table(LAYERS)?,
            images: txn.open_table(IMAGES)?,
            uses: txn.open_table(USES)?,
            totals: Totals::read(&totals_table)?,
            totals_table,
        })
    }

    fn close(mut self) -> Result<(), TxnError> {
        if Totals::read(&self.totals_table)? != self.totals {
            self.totals.write(&mut self.totals_table)?;
        }
        Ok(())
    }

    fn put_output(
        &mut self,
        key: BuildKey,
        row: &IndexRow,
        blobs: &[(BlobId, u64)],
    ) -> Result<(), TxnError> {
        self.take_output(key)?;
        self.outputs.insert(key, row.encode().as_slice())?;
        self.count_output(key, row, Step::More);
        if row.stored_as == key {
            self.contents.insert(row.content, key)?;
            self.put_blobs(blobs)?;
        } else {
            self.aliases.insert((row.stored_as, key), ())?;
        }
        Ok(())
    }

    fn drop_output(&mut self, key: BuildKey) -> Result<(), TxnError> {
        self.uses.remove(&Thing::Output(key).to_bytes())?;
        self.take_output(key)
    }

    /// Removes the row of an output, and what follows from it.
    fn take_output(&mut self, key: BuildKey) -> Result<(), TxnError> {
        let removed = self.outputs.remove(key)?.map(|bytes| IndexRow::decode(bytes.value()));
        let Some(removed) = removed else { return Ok(()) };
        // A row that cannot be read was not counted right either.
        let Ok(row) = removed else { return Ok(()) };
        self.count_output(key, &row, Step::Less);
        self.aliases.remove((row.stored_as, key))?;
        let pointed = self.contents.get(row.content)?.map(|pointed| pointed.value());
        if pointed == Some(key) {
            self.contents.remove(row.content)?;
        }
        Ok(())
    }

    fn drop_directory(&mut self, key: BuildKey) -> Result<(), TxnError> {
        let mut gone = vec![key];
        for row in self.aliases.range(all_of(key))? {
            gone.push(row?.0.value().1);
        }
        gone.into_iter().try_for_each(|key| self.drop_output(key))
    }

    fn count_output(&mut self, key: BuildKey, row: &IndexRow, step: Step) {
        let own_b = if row.stored_as == key { row.size_b } else { 0 };
        count((&mut self.totals.outputs, &mut self.totals.outputs_b), own_b, step);
    }

    fn put_blobs(&mut self, blobs: &[(BlobId, u64)]) -> Result<(), TxnError> {
        for (blob, size_b) in blobs {
            if self.blobs.insert(blob, size_b)?.is_none() {
                count((&mut self.totals.blobs, &mut self.totals.blobs_b), *size_b, Step::More);
            }
        }
        Ok(())
    }

    fn drop_blobs(&mut self, blobs: &[BlobId]) -> Result<(), TxnError> {
        for blob in blobs {
            if let Some(size_b) = self.blobs.remove(blob)? {
                let size_b = size_b.value();
                count((&mut self.totals.blobs, &mut self.totals.blobs_b), size_b, Step::Less);
            }
        }
        Ok(())
    }

    fn put_tree(
        &mut self,
        thing: Thing,
        row: &TreeRow,
        blobs: &[(BlobId, u64)],
    ) -> Result<(), TxnError> {
        self.drop_tree(thing)?;
        let bytes = row.encode();
        match thing {
            Thing::Layer(name) => self.layers.insert(&name, bytes.as_slice())?.is_some(),
            Thing::Image(name) => self.images.insert(&name, bytes.as_slice())?.is_some(),
            Thing::Output(_) => unreachable!("an output has a row of its own kind"),
        };
        self.count_tree(thing, row, Step::More);
        self.put_blobs(blobs)
    }

    fn drop_tree(&mut self, thing: Thing) -> Result<(), TxnError> {
        let removed = match thing {
            Thing::Layer(name) => self.layers.remove(&name)?,
            Thing::Image(name) => self.images.remove(&name)?,
            Thing::Output(_) => unreachable!("an output has a row of its own kind"),
        };
        let removed = removed.map(|bytes| TreeRow::decode(bytes.value()));
        if let Some(Ok(row)) = removed {
            self.count_tree(thing, &row, Step::Less);
            self.uses.remove(&thing.to_bytes())?;
        }
        Ok(())
    }

    fn count_tree(&mut self, thing: Thing, row: &TreeRow, step: Step) {
        let totals = &mut self.totals;
        let counted = match thing {
            Thing::Layer(_) => (&mut totals.layers, &mut totals.layers_b),
            Thing::Image(_) | Thing::Output(_) => (&mut totals.images, &mut totals.images_b),
        };
        count(counted, row.size_b, step);
    }

    fn note_uses(&mut self, uses: &BTreeMap<Thing, u64>) -> Result<(), TxnError> {
        for (thing, used_unix_s) in uses {
            let is_there = match thing {
                Thing::Output(key) => self.outputs.get(key)?.is_some(),
                Thing::Layer(name) => self.layers.get(name)?.is_some(),
                Thing::Image(name) => self.images.get(name)?.is_some(),
            };
            let bytes = thing.to_bytes();
            let known = self.uses.get(&bytes)?.map_or(0, |known| known.value());
            if is_there && known < *used_unix_s {
                self.uses.insert(&bytes, used_unix_s)?;
            }
        }
        Ok(())
    }
}
