//! Outputs: committed once, looked at before each use, dropped when they are not what they were.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use kbs_plan::id::{BuildKey, ContentKey, TreeId};
use kbs_plan::tree::{Entry, Tree};
use redb::{ReadableTable as _, WriteTransaction};

use crate::check::{Depth, Extent, WINDOW, find_damage};
use crate::checkout::{check_out, set_mode};
use crate::database::TxnError;
use crate::error::{At as _, StoreError};
use crate::ingest::{Stage, stage_file};
use crate::layout::Purpose;
use crate::logs::LogFile;
use crate::rebuild::MetaFile;
use crate::row::{
    Ending, LogFacts, OutputRecord, OutputRow, Row as _, RowError, StoredAs, TreeRow,
};
use crate::store::Store;
use crate::sweep::remove_tree;
use crate::sync::settle;
use crate::tables::{BLOBS, CONTENTS, OUTPUTS, TREES};

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
    row: Option<Box<OutputRow>>,
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
    /// Every blob of `tree` has to be in the store. Where there is a sound output of this key
    /// already, that one stays and is returned, whatever `tree` is: who was given it may be using
    /// it. Compare [`OutputRow::tree`] to notice. Only one with marks that `record` does not have is
    /// replaced.
    ///
    /// # Errors
    /// [`StoreError`]; there is no row then, and the same call may be tried again.
    pub fn commit(
        &self,
        record: &OutputRecord,
        tree: &Tree,
        log: Option<LogFile>,
    ) -> Result<OutputRow, StoreError> {
        check_name(&record.name)?;
        let is_kept = |row: &OutputRow| row.record.marks.is_subset(&record.marks);
        if let Some(row) = self.output(record.key)?.found().filter(is_kept) {
            return Ok(row);
        }
        let stored_as = StoredAs { key: record.key, name: record.name.clone() };
        let log_facts = log.as_ref().map(|log| log.facts().clone());
        let row = output_row(record, tree, stored_as, log_facts);
        let stage = self.stage_output(&row, tree)?;

        let _one = self.one_commit();
        if let Some(row) = self.make_way(record.key, &record.marks)? {
            return Ok(row);
        }
        self.place_output(&row, &stage, log)?;
        self.write("record an output", |txn| put_output(txn, &row, tree))?;
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
        check_name(&record.name)?;
        // What is damaged is dropped, with all that it is made of.
        self.output(record.key)?;
        let _one = self.one_commit();
        let Verdict::Sound(base) = self.judge(of, self.next_turn())? else {
            return Err(StoreError::UnknownOutput { key: of });
        };
        let mut row = OutputRow { record: record.clone(), ..*base };
        row.record.marks.extend(base.record.marks);
        if let Some(row) = self.make_way(record.key, &row.record.marks)? {
            return Ok(row);
        }
        row.last_use_unix_s = record.created_unix_s;

        let tree = self.tree(row.tree)?.ok_or(StoreError::CorruptTree { id: row.tree })?;
        let stage = Stage::new(self.paths())?;
        self.place_meta(&stage, &row, &tree)?;
        self.write("record another key of an output", |txn| put_output(txn, &row, &tree))?;
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
        let _one = self.one_commit();
        match self.judge(key, turn)? {
            Verdict::Absent => Ok(LookUp::Absent),
            Verdict::Sound(row) => Ok(LookUp::Found(row)),
            Verdict::Damaged(damage) => self.drop_output(key, damage),
        }
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

    /// Every output, newest first, without a look at the files. Rows that cannot be read are left
    /// out.
    ///
    /// # Errors
    /// [`StoreError::Txn`].
    pub fn outputs(&self) -> Result<Vec<OutputRow>, StoreError> {
        let mut rows = self.db.read("list the outputs", |txn| {
            let mut rows = Vec::new();
            for row in txn.open_table(OUTPUTS)?.iter()? {
                let (key, bytes) = row?;
                match OutputRow::decode(bytes.value()) {
                    Ok(row) => rows.push(row),
                    Err(error) => {
                        tracing::warn!(build.key = %key.value(), %error, "an output's row is skipped");
                    }
                }
            }
            Ok(rows)
        })?;
        rows.sort_by_key(|row| (std::cmp::Reverse(row.record.created_unix_s), row.record.key));
        Ok(rows.into_iter().map(|row| self.with_last_use(row)).collect())
    }

    /// The listing of an output's tree, verified; `None` where no output has it.
    ///
    /// # Errors
    /// [`StoreError::CorruptTree`], [`StoreError::Row`], [`StoreError::Txn`].
    pub fn tree(&self, id: TreeId) -> Result<Option<Tree>, StoreError> {
        let rows = self.tree_rows(id, 0, u32::MAX)?;
        let mut tree = Tree::default();
        let is_empty = rows.is_empty();
        for TreeRow { path, entry } in rows {
            tree.insert(path, entry).map_err(|_| StoreError::CorruptTree { id })?;
        }
        match tree.id() == id {
            true => Ok(Some(tree)),
            false if is_empty => Ok(None),
            false => Err(StoreError::CorruptTree { id }),
        }
    }

    /// The row of a key as it is, without a look at the files.
    pub(crate) fn output_row(&self, key: BuildKey) -> Result<Option<OutputRow>, StoreError> {
        let row = self.db.read("look up an output", |txn| {
            let table = txn.open_table(OUTPUTS)?;
            Ok(table.get(key)?.map(|bytes| OutputRow::decode(bytes.value())))
        })?;
        let row = row.transpose().map_err(|source| StoreError::Row {
            table: "outputs",
            key: key.to_string(),
            source,
        })?;
        Ok(row.map(|row| self.with_last_use(row)))
    }

    fn tree_rows(&self, id: TreeId, first: u32, count: u32) -> Result<Vec<TreeRow>, StoreError> {
        let rows = self.db.read("read the listing of a tree", |txn| {
            let table = txn.open_table(TREES)?;
            let mut rows = Vec::new();
            for row in table.range((id, first)..(id, first.saturating_add(count)))? {
                rows.push(TreeRow::decode(row?.1.value()));
            }
            Ok(rows)
        })?;
        rows.into_iter().collect::<Result<_, _>>().map_err(|source| StoreError::Row {
            table: "trees",
            key: id.to_string(),
            source,
        })
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
                self.drop_output(key, Damage { reason, row: Some(worse), place })?;
                Ok(None)
            }
            Verdict::Absent | Verdict::Damaged(_) => Ok(None),
        }
    }

    fn judge(&self, key: BuildKey, turn: u64) -> Result<Verdict, StoreError> {
        let damaged =
            |reason: String, row, place| Ok(Verdict::Damaged(Damage { reason, row, place }));
        let row = match self.output_row(key) {
            Ok(Some(row)) => Box::new(row),
            Ok(None) => return Ok(Verdict::Absent),
            Err(StoreError::Row { source: error @ RowError::Damaged { .. }, .. }) => {
                return damaged(format!("its row cannot be read: {error}"), None, Place::Row);
            }
            Err(error) => return Err(error),
        };
        if row.stored_as.key != key {
            let base = self.output_row(row.stored_as.key)?;
            if base.is_none_or(|base| base.tree != row.tree) {
                let reason = format!("{}, which it equals, is gone", row.stored_as.key);
                return damaged(reason, Some(row), Place::Row);
            }
        }
        match self.look_at(&row, turn)? {
            None => Ok(Verdict::Sound(row)),
            Some(reason) => damaged(reason, Some(row), Place::Directory),
        }
    }

    /// A number that decides where a look looks: spread evenly also for an output that only every
    /// other look is at.
    fn next_turn(&self) -> u64 {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        self.looks.fetch_add(1, Ordering::Relaxed).wrapping_mul(GOLDEN_RATIO) >> 32
    }

    /// Looks at some of an output's files; returns what is wrong with them.
    pub(crate) fn look_at(&self, row: &OutputRow, turn: u64) -> Result<Option<String>, StoreError> {
        let windows = u64::from(row.entries.div_ceil(WINDOW).max(1));
        let window = u32::try_from(turn % windows).expect("less than a u32");
        let rows = match self.tree_rows(row.tree, window * WINDOW, WINDOW) {
            Ok(rows) => rows,
            Err(StoreError::Row { source, .. }) => {
                return Ok(Some(format!("its listing cannot be read: {source}")));
            }
            Err(error) => return Err(error),
        };
        let expected = (row.entries - (window * WINDOW).min(row.entries)).min(WINDOW);
        if rows.len() != expected as usize {
            return Ok(Some("its listing is incomplete".to_owned()));
        }
        let extent = if windows == 1 { Extent::Whole } else { Extent::Part };
        let path = self.output_path(row);
        // Divided, so that the file does not follow from the window.
        let depth = Depth::Glance { turn: turn / windows };
        find_damage(&path, &rows, extent, depth).at("look at", &path)
    }

    /// Makes the output's directory and metadata in `scratch/`, synced, one rename from its place.
    pub(crate) fn stage_output(&self, row: &OutputRow, tree: &Tree) -> Result<Stage, StoreError> {
        let stage = Stage::new(self.paths())?;
        let mut unsynced = check_out(self.paths(), tree, &stage.join("tree"), Purpose::Output)?;
        let meta = stage.join("meta");
        stage_file(&meta, &MetaFile::new(row, tree).encode())?;
        unsynced.insert(meta);
        settle(self.paths().root(), &unsynced)?;
        Ok(stage)
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
        fs::rename(stage.join("tree"), &place).at("rename a new output to", &place)?;
        set_mode(&place, Purpose::Output.dir_mode())?;
        let meta = layout.meta(row.record.key);
        fs::rename(stage.join("meta"), &meta).at("rename metadata to", &meta)?;
        self.place_log(row.record.key, Ending::Succeeded, log)?;
        settle(layout.root(), &[place, layout.outputs(), layout.metas(), layout.logs()].into())
    }

    fn place_meta(&self, stage: &Stage, row: &OutputRow, tree: &Tree) -> Result<(), StoreError> {
        let staged = stage.join("meta");
        let place = self.paths().meta(row.record.key);
        stage_file(&staged, &MetaFile::new(row, tree).encode())?;
        settle(self.paths().root(), &[staged.clone()].into())?;
        fs::rename(&staged, &place).at("rename metadata to", &place)?;
        settle(self.paths().root(), &[self.paths().metas()].into())
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
            None => remove_if_there(&self.paths().log(key, ending)),
        }
    }

    /// Forgets an output: its rows first, so that none is ever without its files.
    fn drop_output(&self, key: BuildKey, damage: Damage) -> Result<LookUp, StoreError> {
        let Damage { reason, row, place } = damage;
        tracing::warn!(build.key = %key, reason, "an output is dropped");
        let mut gone = vec![key];
        let mut directory = None;
        if let (Some(row), Place::Directory) = (&row, place) {
            gone.push(row.stored_as.key);
            directory = Some(self.output_path(row));
        }
        self.write("forget an output", |txn| {
            let mut outputs = txn.open_table(OUTPUTS)?;
            for key in &gone {
                outputs.remove(key)?;
            }
            if let Some(row) = &row {
                let mut contents = txn.open_table(CONTENTS)?;
                let pointed = contents.get(row.record.content)?.map(|key| key.value());
                if pointed.is_some_and(|key| gone.contains(&key)) {
                    contents.remove(row.record.content)?;
                }
            }
            Ok(())
        })?;
        for key in gone {
            remove_if_there(&self.paths().meta(key))?;
        }
        let moved_to = match directory.filter(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Some(self.set_aside(&path)?),
            None => None,
        };
        Ok(LookUp::Dropped { reason, moved_to })
    }

    /// Moves something out of the way, to where opening the store deletes it.
    fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let found = path.symlink_metadata().at("inspect", path)?;
        if found.is_dir() {
            // Moving a directory needs permission to write to it.
            set_mode(path, 0o755)?;
        }
        let scratch = self.paths().scratch();
        let dir = tempfile::Builder::new()
            .prefix("damaged-")
            .tempdir_in(&scratch)
            .at("make a directory in", &scratch)?
            .keep();
        let aside = dir.join(path.file_name().unwrap_or_default());
        fs::rename(path, &aside).at("move aside", path)?;
        Ok(aside)
    }
}

/// Writes the rows of one output.
pub(crate) fn put_output(
    txn: &WriteTransaction,
    row: &OutputRow,
    tree: &Tree,
) -> Result<(), TxnError> {
    let key = row.record.key;
    txn.open_table(OUTPUTS)?.insert(key, row.encode().as_slice())?;
    if row.stored_as.key != key {
        return Ok(());
    }
    txn.open_table(CONTENTS)?.insert(row.record.content, key)?;
    let id = row.tree;
    let mut trees = txn.open_table(TREES)?;
    let mut blobs = txn.open_table(BLOBS)?;
    for (index, (path, entry)) in (0_u32..).zip(tree.iter()) {
        if let Entry::File { blob, size, executable: _ } = entry {
            blobs.insert(blob, size)?;
        }
        let row = TreeRow { path: path.clone(), entry: entry.clone() };
        trees.insert((id, index), row.encode().as_slice())?;
    }
    Ok(())
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

/// Checks that a name can follow a key in a directory's name.
fn check_name(name: &str) -> Result<(), StoreError> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
    {
        return Ok(());
    }
    Err(StoreError::Name { name: name.to_owned() })
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}
