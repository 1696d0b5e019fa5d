//! Outputs: committed once, looked at before each use, dropped when they are not what they were.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use kbs_plan::id::{BuildKey, ContentKey};
use kbs_plan::tree::Tree;
use redb::ReadableTable as _;

use crate::changes::{Change, all_of};
use crate::check::glance;
use crate::database::TxnError;
use crate::disk;
use crate::error::{At as _, StoreError};
use crate::index::{IndexRow, PROJECT_MAX_B};
use crate::ingest::Ingested;
use crate::layout::Purpose;
use crate::litter::Unfinished;
use crate::logs::LogFile;
use crate::meta::{OutputMeta, Unsound};
use crate::row::{Ending, LogFacts, OutputRecord, OutputRow, RowError, StoredAs};
use crate::stage::Stage;
use crate::store::Store;
use crate::sweep::remove_tree;
use crate::tables::{ALIASES, CONTENTS, OUTPUTS};
use crate::thing::Thing;

const NAME_MAX: usize = 100;

/// What the store has for a key.
#[derive(Debug)]
pub enum LookUp {
    /// An output, as good as a quick look can tell.
    Found(Box<OutputRow>),
    /// Nothing.
    Absent,
    /// Nothing any more: what was there had changed, so it is forgotten and will be built again.
    Dropped {
        /// What was wrong, in a few words.
        reason: String,
        /// Where its directory can be looked at until the store is opened the next time.
        moved_to: Option<PathBuf>,
    },
}

impl LookUp {
    /// The output, if there is one.
    pub fn found(self) -> Option<OutputRow> {
        match self {
            Self::Found(row) => Some(*row),
            Self::Absent | Self::Dropped { .. } => None,
        }
    }
}

/// What a row is worth.
enum Verdict {
    Absent,
    Sound(Box<OutputRow>),
    Damaged(Damage),
}

struct Damage {
    reason: String,
    /// The row, if it can be read.
    row: Option<Box<IndexRow>>,
    place: Place,
}

enum Place {
    /// The output's directory: whoever points at it has to go.
    Directory,
    /// This row alone.
    Row,
}

impl Store {
    /// Stores an output: its directory, log and metadata, then its rows in one transaction.
    ///
    /// Where there is a sound output of this key already, that one stays and is returned, whatever
    /// `tree` is: who was given it may be using it. Compare [`OutputRow::tree`] to notice. Only one
    /// with marks that `record` does not have is replaced.
    ///
    /// # Errors
    /// [`StoreError`]; there is no row then.
    pub fn commit(
        &self,
        record: &OutputRecord,
        tree: Ingested,
        log: Option<LogFile>,
    ) -> Result<OutputRow, StoreError> {
        check_names(record)?;
        let is_kept = |row: &OutputRow| row.record.marks.is_subset(&record.marks);
        if let Some(row) = self.output(record.key)?.found().filter(is_kept) {
            return Ok(row);
        }
        let Ingested { tree, stage, mut unsynced, mut unfinished, _pinned } = tree;
        let stored_as = StoredAs { key: record.key, name: record.name.clone() };
        let log_facts = log.as_ref().map(|log| log.facts().clone());
        let row = output_row(record, &tree, stored_as, log_facts);
        let meta = OutputMeta::new(&row, &tree);
        let file = stage.join("meta");
        disk::write_file(&file, &meta.encode())?;
        unsynced.push(file);
        stage.settle(&unsynced)?;

        let _keys = self.locks.keys([record.key]);
        if let Some(row) = self.make_way(record.key, &record.marks)? {
            return Ok(row);
        }
        self.place_output(&row, &stage, log)?;
        self.record_output(&meta)?;
        unfinished.iter_mut().for_each(Unfinished::finish);
        Ok(row)
    }

    /// Records that `record` describes an output which is in the store as `of`: both keys have
    /// the same content.
    ///
    /// Marks of `of` are taken over. A sound output of this key stays and is returned, as by
    /// [`commit`](Self::commit), unless it has marks that `of` does not have.
    ///
    /// # Errors
    /// [`StoreError::UnknownOutput`] where `of` is not there or not sound, and as
    /// [`commit`](Self::commit).
    pub fn alias(&self, record: &OutputRecord, of: BuildKey) -> Result<OutputRow, StoreError> {
        check_names(record)?;
        // What is damaged is dropped, with all that it is made of.
        self.output(record.key)?;
        let stored_as = self.lookup(of)?.map(|row| row.stored_as);
        let _keys = self.locks.keys([Some(record.key), Some(of), stored_as].into_iter().flatten());
        let Verdict::Sound(base) = self.judge(of, self.next_turn())? else {
            return Err(StoreError::UnknownOutput { key: of });
        };
        let tree = self.tree(&base)?;
        let mut row = OutputRow { record: record.clone(), ..*base };
        row.record.marks.extend(base.record.marks);
        if let Some(row) = self.make_way(record.key, &row.record.marks)? {
            return Ok(row);
        }
        row.last_use_unix_s = record.created_unix_s;
        let meta = OutputMeta::new(&row, &tree);
        self.place_meta(&self.paths().meta(record.key), &meta.encode())?;
        self.record_output(&meta)?;
        Ok(row)
    }

    /// Looks up an output, and looks at it: names, kinds, sizes and modes of its files (of some of
    /// them where there are many) and the bytes of one small file, another one each time.
    ///
    /// # Errors
    /// [`StoreError::Row`] for a row of another version, [`StoreError::Txn`], [`StoreError::Io`].
    pub fn output(&self, key: BuildKey) -> Result<LookUp, StoreError> {
        let turn = self.next_turn();
        match self.judge(key, turn)? {
            Verdict::Absent => return Ok(LookUp::Absent),
            Verdict::Sound(row) => return Ok(LookUp::Found(row)),
            Verdict::Damaged(_) => {}
        }
        // The same look again, now that nobody is in the middle of replacing it.
        let stored_as = self.lookup(key).ok().flatten().map(|row| row.stored_as);
        let _keys = self.locks.keys([Some(key), stored_as].into_iter().flatten());
        match self.judge(key, turn)? {
            Verdict::Absent => Ok(LookUp::Absent),
            Verdict::Sound(row) => Ok(LookUp::Found(row)),
            Verdict::Damaged(damage) => self.drop_output(key, damage),
        }
    }

    /// What the index knows of an output, without a look at its files.
    ///
    /// # Errors
    /// [`StoreError::Row`], [`StoreError::Txn`].
    pub fn lookup(&self, key: BuildKey) -> Result<Option<IndexRow>, StoreError> {
        readable(key, self.db.read("look up an output", |txn| index_row(txn, key))?)
    }

    /// As [`lookup`](Self::lookup), but waits for nobody who has the database alone: `None` then. It
    /// takes a few microseconds, so that even a thread that must not wait may ask.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub fn lookup_at_once(&self, key: BuildKey) -> Result<Option<Option<IndexRow>>, StoreError> {
        let row = self.db.read_at_once("look up an output", |txn| index_row(txn, key));
        row.map(|row| readable(key, row?)).transpose()
    }

    /// The directory of an output.
    pub fn output_path(&self, row: &OutputRow) -> PathBuf {
        self.paths().output(row.stored_as.key, &row.stored_as.name)
    }

    /// The key under which content was built, if it was; [`output`](Self::output) says whether it
    /// is still there.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn by_content(&self, content: ContentKey) -> Result<Option<BuildKey>, StoreError> {
        self.db.read("look up a content key", |txn| {
            Ok(txn.open_table(CONTENTS)?.get(content)?.map(|key| key.value()))
        })
    }

    /// Every output, newest first, without a look at its files. What cannot be read is left out.
    ///
    /// # Errors
    /// [`StoreError::Txn`], [`StoreError::Io`].
    pub fn outputs(&self) -> Result<Vec<OutputRow>, StoreError> {
        let mut indexed = Vec::new();
        self.each_output(&mut |key, row| indexed.push((key, row)))?;
        indexed.sort_by_key(|(key, row)| (std::cmp::Reverse(row.created_unix_s), *key));
        let mut rows = Vec::with_capacity(indexed.len());
        for (key, row) in indexed {
            match self.read_meta(key, &row)? {
                Ok(meta) => rows.push(self.with_last_use(meta.row)?),
                Err(reason) => {
                    tracing::warn!(build.key = %key, reason, "an output is skipped");
                }
            }
        }
        Ok(rows)
    }

    /// Shows every output's row. Those that cannot be read are left out.
    pub(crate) fn each_output(
        &self,
        show: &mut dyn FnMut(BuildKey, IndexRow),
    ) -> Result<(), StoreError> {
        self.db.read("list the outputs", |txn| {
            for row in txn.open_table(OUTPUTS)?.iter()? {
                let (key, bytes) = row?;
                match IndexRow::decode(bytes.value()) {
                    Ok(row) => show(key.value(), row),
                    Err(error) => {
                        tracing::warn!(build.key = %key.value(), %error, "an output's row is skipped");
                    }
                }
            }
            Ok(())
        })
    }

    /// The other keys that an output is that of, in order.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn aliases_of(&self, key: BuildKey) -> Result<Vec<BuildKey>, StoreError> {
        self.db.read("list the other keys of an output", |txn| {
            let mut aliases = Vec::new();
            for row in txn.open_table(ALIASES)?.range(all_of(key))? {
                aliases.push(row?.0.value().1);
            }
            Ok(aliases)
        })
    }

    /// The listing of an output's tree, verified.
    ///
    /// # Errors
    /// [`StoreError::Meta`], [`StoreError::Io`].
    pub fn tree(&self, row: &OutputRow) -> Result<Tree, StoreError> {
        let path = self.paths().meta(row.record.key);
        let damaged = |reason| StoreError::Meta { path: path.clone(), reason };
        let (meta, _) = OutputMeta::read(&path, None)?.map_err(damaged)?;
        if meta.row.tree == row.tree {
            Ok(meta.tree)
        } else {
            Err(damaged("it is that of another output".to_owned()))
        }
    }

    /// All that is known of an output, if it is what its row says.
    ///
    /// # Errors
    /// [`StoreError::Io`] where this process lacks the means to read it: that is no damage.
    pub(crate) fn read_meta(
        &self,
        key: BuildKey,
        row: &IndexRow,
    ) -> Result<Result<OutputMeta, Unsound>, StoreError> {
        let read = OutputMeta::read(&self.paths().meta(key), Some(row.meta))?;
        Ok(read.and_then(|(meta, _)| match meta.row.record.key {
            of if of == key => Ok(meta),
            of => Err(format!("its metadata is that of {of}")),
        }))
    }

    fn with_last_use(&self, row: OutputRow) -> Result<OutputRow, StoreError> {
        let used = self.last_use(Thing::Output(row.record.key))?;
        Ok(OutputRow { last_use_unix_s: used.max(row.record.created_unix_s), ..row })
    }

    /// Returns the sound output of `key` if it stays where one with `marks` could be had. One with
    /// marks besides was made in a sandbox with fewer walls, and is dropped.
    fn make_way(
        &self,
        key: BuildKey,
        marks: &BTreeSet<String>,
    ) -> Result<Option<OutputRow>, StoreError> {
        match self.judge(key, self.next_turn())? {
            Verdict::Sound(row) if row.record.marks.is_subset(marks) => Ok(Some(*row)),
            Verdict::Sound(worse) => {
                let reason = "one that was made in a better sandbox replaces it".to_owned();
                // The directory of an alias is another key's.
                let place = if worse.stored_as.key == key { Place::Directory } else { Place::Row };
                self.drop_output(
                    key,
                    Damage { reason, row: self.lookup(key)?.map(Box::new), place },
                )?;
                Ok(None)
            }
            Verdict::Absent | Verdict::Damaged(_) => Ok(None),
        }
    }

    fn judge(&self, key: BuildKey, turn: u64) -> Result<Verdict, StoreError> {
        let damaged =
            |reason: String, row, place| Ok(Verdict::Damaged(Damage { reason, row, place }));
        let row = match self.lookup(key) {
            Ok(Some(row)) => Box::new(row),
            Ok(None) => return Ok(Verdict::Absent),
            Err(StoreError::Row { source: error @ RowError::Damaged { .. }, .. }) => {
                return damaged(format!("its row cannot be read: {error}"), None, Place::Row);
            }
            Err(error) => return Err(error),
        };
        if row.stored_as != key {
            let base = self.lookup(row.stored_as)?;
            if base.is_none_or(|base| base.tree != row.tree) {
                let reason = format!("{}, which it equals, is gone", row.stored_as);
                return damaged(reason, Some(row), Place::Row);
            }
        }
        let meta = match self.read_meta(key, &row)? {
            Ok(meta) => meta,
            Err(reason) => {
                let place = if row.stored_as == key { Place::Directory } else { Place::Row };
                return damaged(reason, Some(row), place);
            }
        };
        match self.look_at(&meta, turn)? {
            None => Ok(Verdict::Sound(Box::new(self.with_last_use(meta.row)?))),
            Some(reason) => damaged(reason, Some(row), Place::Directory),
        }
    }

    /// A number that decides where a look looks: spread evenly also for an output that only every
    /// other look is at.
    pub(crate) fn next_turn(&self) -> u64 {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        self.looks.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN_RATIO) >> 32
    }

    /// Looks at some of an output's files; returns what is wrong with them.
    pub(crate) fn look_at(
        &self,
        meta: &OutputMeta,
        turn: u64,
    ) -> Result<Option<String>, StoreError> {
        let path = self.output_path(&meta.row);
        glance(&path, &meta.tree, Purpose::Output, (turn, 1)).at("look at", &path)
    }

    /// Writes the rows of an output whose files are in place.
    pub(crate) fn record_output(&self, meta: &OutputMeta) -> Result<(), StoreError> {
        let hash = kbs_plan::id::BlobId::of(&meta.encode());
        self.submit("record an output", vec![meta.put(hash)])
    }

    /// Renames everything into place, synced. What is there without a row is in the way.
    pub(crate) fn place_output(
        &self,
        row: &OutputRow,
        stage: &Stage,
        log: Option<LogFile>,
    ) -> Result<(), StoreError> {
        let layout = self.paths();
        let place = self.output_path(row);
        if place.symlink_metadata().is_ok() {
            // Left by a commit that was killed before its row: nobody was ever given it.
            let left = self.set_aside(&place)?;
            if let Err(error) = remove_tree(left.parent().unwrap_or(&left)) {
                tracing::warn!(%error, path = %left.display(), "cannot remove a leftover");
            }
        }
        disk::rename(&stage.tree(), &place, "rename a new output to")?;
        disk::set_mode(&place, Purpose::Output.dir_mode())?;
        let meta = layout.meta(row.record.key);
        disk::rename(&stage.join("meta"), &meta, "rename metadata to")?;
        self.place_log(row.record.key, Ending::Succeeded, log)?;
        [place, layout.outputs(), layout.metas(), layout.logs()]
            .iter()
            .try_for_each(|dir| disk::sync(dir))
    }

    /// Gives a log its name, or makes sure that no older one is taken for this build's.
    pub(crate) fn place_log(
        &self,
        key: BuildKey,
        ending: Ending,
        log: Option<LogFile>,
    ) -> Result<(), StoreError> {
        match log {
            Some(log) => log.place(self.paths(), key, ending),
            None => disk::remove_file(&self.paths().log(key, ending)).map(drop),
        }
    }

    /// Forgets an output: its rows first, so that none is ever without its files.
    fn drop_output(&self, key: BuildKey, damage: Damage) -> Result<LookUp, StoreError> {
        let Damage { reason, row, place } = damage;
        tracing::warn!(build.key = %key, reason, "an output is dropped");
        let mut gone = vec![key];
        let mut directory = None;
        let mut changes = vec![Change::DropOutput { key }];
        if let (Some(row), Place::Directory) = (&row, place) {
            gone.push(row.stored_as);
            directory = Some(self.paths().output(row.stored_as, &row.stored_name));
            // Files of other keys may be in the hands of others: what stays of them is litter.
            changes.push(Change::DropDirectory { key: row.stored_as });
        }
        self.submit("forget an output", changes)?;
        for key in gone {
            disk::remove_file(&self.paths().meta(key))?;
        }
        let moved_to = match directory.filter(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Some(self.set_aside(&path)?),
            None => None,
        };
        Ok(LookUp::Dropped { reason, moved_to })
    }

    /// Moves something out of the way, to where opening the store deletes it.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let found = path.symlink_metadata().at("inspect", path)?;
        if found.is_dir() {
            // Moving a directory needs permission to write to it.
            disk::set_mode(path, 0o755)?;
        }
        let dir = disk::create_temporary_dir(&self.paths().scratch(), "damaged-")?;
        let aside = dir.join(path.file_name().unwrap_or_default());
        disk::rename(path, &aside, "move aside what is damaged to")?;
        Ok(aside)
    }
}

fn index_row(
    txn: &redb::ReadTransaction,
    key: BuildKey,
) -> Result<Option<Result<IndexRow, RowError>>, TxnError> {
    let table = txn.open_table(OUTPUTS)?;
    Ok(table.get(key)?.map(|bytes| IndexRow::decode(bytes.value())))
}

fn readable(
    key: BuildKey,
    row: Option<Result<IndexRow, RowError>>,
) -> Result<Option<IndexRow>, StoreError> {
    let of = |source| StoreError::Row { table: "outputs", key: key.to_string(), source };
    row.transpose().map_err(of)
}

pub(crate) fn output_row(
    record: &OutputRecord,
    tree: &Tree,
    stored_as: StoredAs,
    log: Option<LogFacts>,
) -> OutputRow {
    OutputRow {
        record: record.clone(),
        tree: tree.id(),
        entries: u32::try_from(tree.len()).expect("four billion entries do not fit in memory"),
        size_b: tree.size_b(),
        stored_as,
        log,
        last_use_unix_s: record.created_unix_s,
    }
}

/// Checks that the output's name can follow a key in a directory's name, and that a row has room for
/// the project's.
fn check_names(OutputRecord { name, project, .. }: &OutputRecord) -> Result<(), StoreError> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(is_plain) || name.starts_with('.')
    {
        return Err(StoreError::Name { name: name.clone() });
    }
    if project.len() > PROJECT_MAX_B {
        return Err(StoreError::ProjectName { size_b: project.len() });
    }
    Ok(())
}
