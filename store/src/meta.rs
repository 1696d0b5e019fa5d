//! The files below `meta/`: all that is known of a thing, from which its row can be made again.

use std::fs;
use std::io;
use std::path::Path;

use kbs_plan::id::{BlobId, TreeId};
use kbs_plan::tree::Tree;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::changes::Change;
use crate::disk;
use crate::error::{At as _, StoreError, lacks_means};
use crate::index::{IndexRow, TreeRow};
use crate::row::{FailureRow, OutputRow};
use crate::stage::Stage;
use crate::store::Store;
use crate::thing::Thing;

const VERSION: u32 = 1;

/// A file could not be believed.
pub(crate) type Unsound = String;

/// Content of the file of an output.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutputMeta {
    version: u32,
    pub(crate) row: OutputRow,
    pub(crate) tree: Tree,
}

impl OutputMeta {
    pub(crate) fn new(row: &OutputRow, tree: &Tree) -> Self {
        Self { version: VERSION, row: row.clone(), tree: tree.clone() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the file of an output, and believes it if it has the hash `expected`, or, where none is
    /// given, if what it says agrees.
    ///
    /// # Errors
    /// [`StoreError::Io`] where this process lacks the means to read it; all else is unsound.
    pub(crate) fn read(
        path: &Path,
        expected: Option<BlobId>,
    ) -> Result<Result<(Self, BlobId), Unsound>, StoreError> {
        Ok(read_file(path)?
            .map_err(|error| unreadable(&error))
            .and_then(|bytes| Self::believe(&bytes, expected)))
    }

    fn believe(bytes: &[u8], expected: Option<BlobId>) -> Result<(Self, BlobId), Unsound> {
        let found = BlobId::of(bytes);
        if expected.is_some_and(|expected| expected != found) {
            return Err("its metadata has changed".to_owned());
        }
        let meta: Self = decode(bytes)?;
        if meta.version != VERSION {
            let found = meta.version;
            return Err(format!("its metadata has version {found}, this kbs knows {VERSION}"));
        }
        if meta.tree.id() != meta.row.tree {
            return Err("its listing is not the output's".to_owned());
        }
        Ok((meta, found))
    }

    /// Its row and those of its blobs.
    pub(crate) fn put(&self, hash: BlobId) -> Change {
        let blobs = self.tree.files().map(|(_, blob, size_b)| (blob, size_b)).collect();
        Change::PutOutput { key: self.row.record.key, row: self.index_row(hash).into(), blobs }
    }

    /// The row of the index.
    pub(crate) fn index_row(&self, meta: BlobId) -> IndexRow {
        let OutputRow { record, tree, entries, size_b, stored_as, log: _, last_use_unix_s: _ } =
            &self.row;
        IndexRow {
            tree: *tree,
            content: record.content,
            stored_as: stored_as.key,
            meta,
            entries: *entries,
            size_b: *size_b,
            created_unix_s: record.created_unix_s,
            marked: !record.marks.is_empty(),
            project: record.project.clone(),
            stored_name: stored_as.name.clone(),
        }
    }
}

/// Content of the file of a layer or an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TreeMeta {
    version: u32,
    /// Which, as text.
    thing: String,
    created_unix_s: u64,
    pub(crate) tree: Tree,
}

impl TreeMeta {
    pub(crate) fn new(thing: Thing, created_unix_s: u64, tree: Tree) -> Self {
        Self { version: VERSION, thing: thing.to_string(), created_unix_s, tree }
    }

    /// Reads the file of a layer or an image.
    ///
    /// # Errors
    /// As [`OutputMeta::read`].
    pub(crate) fn read(path: &Path, thing: Thing) -> Result<Result<Self, Unsound>, StoreError> {
        Ok(read_file(path)?
            .map_err(|error| unreadable(&error))
            .and_then(|bytes| Self::believe(&bytes, thing)))
    }

    fn believe(bytes: &[u8], thing: Thing) -> Result<Self, Unsound> {
        let meta: Self = decode(bytes)?;
        let Self { version, thing: of, .. } = &meta;
        match (*version == VERSION, *of == thing.to_string()) {
            (true, true) => Ok(meta),
            (false, _) => {
                Err(format!("its listing has version {version}, this kbs knows {VERSION}"))
            }
            (_, false) => Err(format!("its listing is that of {of}")),
        }
    }

    /// Its row and those of its blobs: the files of a layer are its own, and so are the empty ones of
    /// an image.
    pub(crate) fn put(&self, thing: Thing) -> Change {
        let blobs = match thing {
            Thing::Layer(_) | Thing::Output(_) => Vec::new(),
            Thing::Image(_) => {
                let files = self.tree.files().map(|(_, blob, size_b)| (blob, size_b));
                files.filter(|(_, size_b)| *size_b > 0).collect()
            }
        };
        Change::PutTree { thing, row: self.row(), blobs }
    }

    /// The row of the index.
    pub(crate) fn row(&self) -> TreeRow {
        TreeRow {
            tree: self.tree.id(),
            entries: u32::try_from(self.tree.len()).unwrap_or(u32::MAX),
            size_b: self.tree.size_b(),
            created_unix_s: self.created_unix_s,
        }
    }
}

impl Store {
    /// The listing of an output, a layer or an image, verified against its row; `None` where there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError::Meta`], [`StoreError::Row`], [`StoreError::Txn`].
    pub fn listing(&self, thing: Thing) -> Result<Option<Tree>, StoreError> {
        let damaged = |reason| StoreError::Meta { path: self.paths().meta_of(thing), reason };
        let Some(expected) = self.tree_id(thing)? else { return Ok(None) };
        let tree = self.read_listing(thing)?.map_err(damaged)?;
        if tree.id() == expected {
            Ok(Some(tree))
        } else {
            Err(damaged("its listing is not the one that was stored".to_owned()))
        }
    }

    /// The listing that lies beside a thing, whatever its row says.
    ///
    /// # Errors
    /// As [`OutputMeta::read`].
    pub(crate) fn read_listing(&self, thing: Thing) -> Result<Result<Tree, Unsound>, StoreError> {
        read_listing_at(&self.paths().meta_of(thing), thing)
    }

    /// The tree that a row speaks of.
    pub(crate) fn tree_id(&self, thing: Thing) -> Result<Option<TreeId>, StoreError> {
        Ok(match thing {
            Thing::Output(key) => self.lookup(key)?.map(|row| row.tree),
            Thing::Layer(_) | Thing::Image(_) => self.tree_row(thing)?.map(|row| row.tree),
        })
    }

    /// Writes a small file into its place, synced, whole or not at all.
    pub(crate) fn place_meta(&self, place: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let stage = Stage::new(self.paths())?;
        let staged = stage.join("meta");
        disk::write_file(&staged, bytes)?;
        disk::sync(&staged)?;
        disk::rename(&staged, place, "rename metadata to")?;
        disk::sync(place.parent().expect("it lies in a directory of the store"))
    }
}

/// The listing of a thing in a file about it, as far as the file itself can be believed.
pub(crate) fn read_listing_at(
    path: &Path,
    thing: Thing,
) -> Result<Result<Tree, Unsound>, StoreError> {
    Ok(match thing {
        Thing::Output(_) => OutputMeta::read(path, None)?.map(|(meta, _)| meta.tree),
        Thing::Layer(_) | Thing::Image(_) => TreeMeta::read(path, thing)?.map(|meta| meta.tree),
    })
}

/// The file of a failure.
pub(crate) fn encode_failure(row: &FailureRow) -> Vec<u8> {
    encode(row)
}

/// Reads a small JSON file that is believed as it is.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let read = match read_file(path)? {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| unreadable(&error)).and_then(|bytes| decode(&bytes)),
    };
    read.map(Some).map_err(|reason| StoreError::Meta { path: path.to_owned(), reason })
}

/// Reads a small file.
///
/// # Errors
/// [`StoreError::Io`] where this process lacks the means to read any: that is no damage.
fn read_file(path: &Path) -> Result<io::Result<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Err(error) if lacks_means(&error) => Err(error).at("read", path),
        read => Ok(read),
    }
}

fn unreadable(error: &io::Error) -> Unsound {
    format!("its metadata cannot be read: {error}")
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value)
        .expect("rows have string keys, and writing to memory cannot fail");
    json.push(b'\n');
    json
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unsound> {
    serde_json::from_slice(bytes).map_err(|error| format!("its metadata is damaged: {error}"))
}
