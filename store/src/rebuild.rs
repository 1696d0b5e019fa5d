//! Makes the index again from what lies beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kbs_plan::id::{BlobId, BuildKey, Id};
use kbs_plan::tree::Tree;

use crate::changes::{Change, apply};
use crate::check::{Depth, Extent, Listed, find_damage};
use crate::database::Database;
use crate::error::{At as _, StoreError};
use crate::index::PROJECT_MAX_B;
use crate::layout::{Layout, Purpose};
use crate::meta::{OutputMeta, TreeMeta, Unsound, read_json};
use crate::migrate::Carried;
use crate::row::FailureRow;
use crate::thing::Thing;

/// Rows of this many things go into one transaction.
const TOGETHER: usize = 1024;

/// What a file below `meta/` speaks of, by its name.
pub(crate) enum About {
    Thing(Thing),
    Failure(BuildKey),
    /// It is read elsewhere, or is none of ours.
    Other,
}

impl About {
    pub(crate) fn of(name: &str) -> Self {
        let Some(name) = name.strip_suffix(".json") else { return Self::Other };
        let bytes = |hex: &str| hex.parse::<Id<kbs_plan::id::Build>>().ok();
        if let Some(name) = name.strip_prefix("layer-").and_then(bytes) {
            return Self::Thing(Thing::Layer(*name.as_bytes()));
        }
        if let Some(name) = name.strip_prefix("image-").and_then(bytes) {
            return Self::Thing(Thing::Image(*name.as_bytes()));
        }
        if let Some(key) = name.strip_suffix(".failed").and_then(bytes) {
            return Self::Failure(key);
        }
        bytes(name).map_or(Self::Other, |key| Self::Thing(Thing::Output(key)))
    }
}

/// Writes a row for everything whose files are what its metadata says, down to the last byte. The
/// others are left where they are, and will be made again when they are wanted.
pub(crate) fn index_files(
    layout: &Layout,
    db: &Database,
    carried: Carried,
) -> Result<(), StoreError> {
    let mut rows = Rows { db, waiting: Vec::new(), indexed: 0 };
    let mut aliases = Vec::new();
    let mut bases = BTreeMap::new();
    let dir = layout.metas();
    for file in fs::read_dir(&dir).at("list", &dir)? {
        let path = file.at("list", &dir)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let change = match About::of(&name) {
            About::Thing(Thing::Output(key)) => match read_output(layout, key)? {
                Ok((meta, hash)) if meta.row.stored_as.key == key => {
                    bases.insert(key, meta.row.tree);
                    Ok(meta.put(hash))
                }
                Ok(alias) => {
                    aliases.push(alias);
                    continue;
                }
                Err(reason) => Err(reason),
            },
            About::Thing(thing) => read_tree(layout, thing)?,
            About::Failure(_) => match read_json::<FailureRow>(&path) {
                Ok(Some(row)) => Ok(Change::PutFailure { row: Box::new(row) }),
                Ok(None) => continue,
                Err(StoreError::Meta { reason, path: _ }) => Err(reason),
                Err(error) => return Err(error),
            },
            About::Other => continue,
        };
        match change {
            Ok(change) => rows.add(change)?,
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "this is not indexed");
            }
        }
    }
    for (meta, hash) in aliases {
        if bases.get(&meta.row.stored_as.key) == Some(&meta.row.tree) {
            rows.add(meta.put(hash))?;
        }
    }
    let names: Option<BTreeMap<String, String>> =
        read_json(&layout.image_names()).unwrap_or_else(|error| {
            // The old index may have carried them.
            tracing::warn!(%error, "the names of images are not indexed from their file");
            None
        });
    for (name, digest) in names.unwrap_or_default() {
        rows.add(Change::NameImage { name, digest })?;
    }
    for change in carried.changes {
        rows.add(change)?;
    }
    rows.flush()?;
    if rows.indexed > 0 {
        tracing::info!(rows = rows.indexed, "the index was made from the files");
    }
    Ok(())
}

/// Rows on their way into the database.
struct Rows<'d> {
    db: &'d Database,
    waiting: Vec<Change>,
    indexed: usize,
}

impl Rows<'_> {
    fn add(&mut self, change: Change) -> Result<(), StoreError> {
        self.waiting.push(change);
        if self.waiting.len() < TOGETHER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.indexed += self.waiting.len();
        let changes = std::mem::take(&mut self.waiting);
        self.db.write("index the files", |txn| apply(txn, &changes))
    }
}

fn read_output(
    layout: &Layout,
    key: BuildKey,
) -> Result<Result<(OutputMeta, BlobId), Unsound>, StoreError> {
    let (meta, hash) = match OutputMeta::read(&layout.meta(key), None)? {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let row = &meta.row;
    if row.record.key != key {
        return Ok(Err(format!("it speaks of {}", row.record.key)));
    }
    if row.record.project.len() > PROJECT_MAX_B {
        return Ok(Err("the name of its project is too long".to_owned()));
    }
    let damage = if row.stored_as.key == key {
        let place = layout.output(row.stored_as.key, &row.stored_as.name);
        damage_of(&place, &meta.tree, Purpose::Output)?
    } else {
        None
    };
    Ok(damage.map_or(Ok((meta, hash)), Err))
}

fn read_tree(layout: &Layout, thing: Thing) -> Result<Result<Change, Unsound>, StoreError> {
    let meta = match TreeMeta::read(&layout.meta_of(thing), thing)? {
        Ok(meta) => meta,
        Err(reason) => return Ok(Err(reason)),
    };
    let place = match thing {
        Thing::Image(name) => layout.rootfs(name),
        Thing::Layer(name) => layout.layer(name),
        Thing::Output(_) => unreachable!("outputs are read elsewhere"),
    };
    let damage = damage_of(&place, &meta.tree, Purpose::Source)?;
    Ok(damage.map_or_else(|| Ok(meta.put(thing)), Err))
}

/// What is wrong with a directory, down to the last byte.
fn damage_of(place: &Path, tree: &Tree, purpose: Purpose) -> Result<Option<Unsound>, StoreError> {
    let listed: Vec<Listed<'_>> = tree.iter().collect();
    find_damage(place, &listed, (purpose, Extent::Whole), Depth::Everything).at("look at", place)
}
