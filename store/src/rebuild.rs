//! Makes the index of outputs again from what lies beside them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use kbs_plan::id::BuildKey;
use kbs_plan::tree::Tree;
use serde::{Deserialize, Serialize};

use crate::check::{Depth, Extent, find_damage};
use crate::database::Database;
use crate::error::{At as _, StoreError};
use crate::layout::Layout;
use crate::outputs::put_output;
use crate::row::{OutputRow, TreeRow};

const VERSION: u32 = 1;

/// Content of `meta/<key>.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MetaFile {
    version: u32,
    row: OutputRow,
    tree: Tree,
}

impl MetaFile {
    pub(crate) fn new(row: &OutputRow, tree: &Tree) -> Self {
        Self { version: VERSION, row: row.clone(), tree: tree.clone() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self)
            .expect("rows have string keys, and writing to memory cannot fail");
        json.push(b'\n');
        json
    }
}

/// Writes a row for every output whose files are what its metadata says, down to the last byte.
/// The others are left where they are, and will be built again when they are wanted.
pub(crate) fn index_files(layout: &Layout, db: &Database) -> Result<(), StoreError> {
    let mut sound = BTreeMap::new();
    let mut aliases = Vec::new();
    let dir = layout.metas();
    for file in fs::read_dir(&dir).at("list", &dir)? {
        let path = file.at("list", &dir)?.path();
        match read_meta(layout, &path) {
            Ok(meta) if meta.row.stored_as.key == meta.row.record.key => {
                sound.insert(meta.row.record.key, meta);
            }
            Ok(meta) => aliases.push(meta),
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "an output is not indexed");
            }
        }
    }
    aliases.retain(|alias| {
        let base: Option<&MetaFile> = sound.get(&alias.row.stored_as.key);
        base.is_some_and(|base| base.row.tree == alias.row.tree)
    });
    if sound.is_empty() {
        return Ok(());
    }
    tracing::info!(outputs = sound.len() + aliases.len(), "the index was made from the files");
    db.write("index the outputs", |txn| {
        sound.values().chain(&aliases).try_for_each(|meta| put_output(txn, &meta.row, &meta.tree))
    })
}

/// Reads one file and checks everything that it says.
fn read_meta(layout: &Layout, path: &Path) -> Result<MetaFile, String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let file = File::open(path).map_err(|error| said(&error))?;
    let meta: MetaFile =
        serde_json::from_reader(io::BufReader::new(file)).map_err(|error| said(&error))?;
    let MetaFile { version, row, tree } = &meta;
    if *version != VERSION {
        return Err(format!("it has version {version}, this kbs knows {VERSION}"));
    }
    let key: BuildKey = row.record.key;
    if path != layout.meta(key) {
        return Err(format!("it speaks of {key}"));
    }
    if tree.id() != row.tree {
        return Err("its listing is not the output's".to_owned());
    }
    if row.stored_as.key != key {
        return Ok(meta);
    }
    let rows: Vec<_> = tree
        .iter()
        .map(|(path, entry)| TreeRow { path: path.clone(), entry: entry.clone() })
        .collect();
    let place = layout.output(row.stored_as.key, &row.stored_as.name);
    match find_damage(&place, &rows, Extent::Whole, Depth::Everything) {
        Ok(None) => Ok(meta),
        Ok(Some(damage)) => Err(damage),
        Err(error) => Err(said(&error)),
    }
}
