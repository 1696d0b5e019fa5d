//! Roots: names that keep outputs from being collected.
//!
//! Each is a small file of its own, so that they outlive the database.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BlobId, BuildKey};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{At as _, StoreError};
use crate::meta::{encode, read_json};
use crate::policy::Holder;
use crate::store::Store;

const NAME_MAX_B: usize = 4096;
/// A link that is not there yet, or leads elsewhere still, may come for so long after its root was
/// made.
const LINK_GRACE_S: u64 = 60;

/// What a root's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// A name that a person gave.
    Named,
    /// The path of a symbolic link to the output; the root dies with the link.
    Link,
}

/// A name that keeps an output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root {
    /// The name, or the absolute path of the link.
    pub name: String,
    /// Which of the two.
    pub kind: RootKind,
    /// The output that it keeps.
    pub key: BuildKey,
    /// When it was made, in Unix seconds.
    pub created_unix_s: u64,
}

/// How a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootState {
    /// It keeps its output.
    Alive,
    /// Its output is not in the store; built again, it is kept again.
    Missing,
    /// Its link is gone or points elsewhere: the next collection forgets it.
    Dead,
}

/// The roots of each rooted key.
pub(crate) type Rooted = BTreeMap<BuildKey, Vec<Holder>>;

/// How every root was when it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Judged(BTreeMap<Root, RootState>);

impl Judged {
    fn is_dead(&self, root: &Root) -> bool {
        self.0.get(root) == Some(&RootState::Dead)
    }

    /// What they keep.
    pub(crate) fn rooted(&self) -> Rooted {
        rooted(self.0.keys().filter(|root| !self.is_dead(root)).cloned())
    }
}

fn rooted(roots: impl IntoIterator<Item = Root>) -> Rooted {
    let mut rooted = Rooted::new();
    for root in roots {
        rooted.entry(root.key).or_default().push(Holder::Root(root.name));
    }
    rooted
}

impl Store {
    /// Makes a root, in place of an earlier one of the same name.
    ///
    /// # Errors
    /// [`StoreError::RootName`], [`StoreError::UnknownOutput`] where there is nothing to keep, and
    /// [`StoreError::Io`].
    pub fn add_root(&self, root: &Root) -> Result<(), StoreError> {
        check_name(root)?;
        // Nothing is taken away meanwhile.
        let _adding = self.locks.add();
        if self.lookup(root.key)?.is_none() {
            return Err(StoreError::UnknownOutput { key: root.key });
        }
        self.place_meta(&self.root_file(&root.name), &encode(root))
    }

    /// Forgets a root; says whether there was one of that name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_root(&self, name: &str) -> Result<bool, StoreError> {
        let was_there = disk::remove_file(&self.root_file(name))?;
        disk::sync(&self.paths().roots())?;
        Ok(was_there)
    }

    /// Every root, by name.
    ///
    /// # Errors
    /// [`StoreError::Meta`] where one cannot be read: what it keeps is not known then, so nothing may
    /// be collected.
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let dir = self.paths().roots();
        let mut roots = Vec::new();
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let path = entry.at("list", &dir)?.path();
            roots.extend(read_json::<Root>(&path)?);
        }
        roots.sort();
        Ok(roots)
    }

    /// How a root is at `now_unix_s`.
    ///
    /// # Errors
    /// [`StoreError::Txn`], [`StoreError::Row`].
    pub fn root_state(&self, root: &Root, now_unix_s: u64) -> Result<RootState, StoreError> {
        let Some(row) = self.lookup(root.key)? else { return Ok(RootState::Missing) };
        let output = self.paths().output(row.stored_as, &row.stored_name);
        let age_s = now_unix_s.saturating_sub(root.created_unix_s);
        let is_alive = match root.kind {
            RootKind::Named => true,
            RootKind::Link => match fs::canonicalize(&root.name) {
                Ok(target) => target.starts_with(&output) || age_s < LINK_GRACE_S,
                Err(error) if error.kind() == io::ErrorKind::NotFound => age_s < LINK_GRACE_S,
                // Whose directories we may not enter may have it still.
                Err(_) => true,
            },
        };
        Ok(if is_alive { RootState::Alive } else { RootState::Dead })
    }

    /// Looks at every root. Links may lie where a look takes for ever, so nothing may be locked.
    pub(crate) fn judge_roots(&self, now_unix_s: u64) -> Result<Judged, StoreError> {
        let roots = self.roots()?.into_iter();
        let judge = |root: Root| Ok((root.clone(), self.root_state(&root, now_unix_s)?));
        Ok(Judged(roots.map(judge).collect::<Result<_, StoreError>>()?))
    }

    /// What roots keep now, when nobody can add one. Those that were dead when they were judged, and
    /// have not been made again since, are forgotten.
    pub(crate) fn rooted_now(&self, judged: &Judged) -> Result<Rooted, StoreError> {
        let mut live = Vec::new();
        for root in self.roots()? {
            if judged.is_dead(&root) {
                tracing::info!(root = root.name, build.key = %root.key, "its link is gone");
                self.remove_root(&root.name)?;
            } else {
                live.push(root);
            }
        }
        Ok(rooted(live))
    }

    fn root_file(&self, name: &str) -> PathBuf {
        let hex = BlobId::of(name.as_bytes()).hex();
        self.paths().roots().join(format!("{}.json", &hex[..32]))
    }
}

fn check_name(root: &Root) -> Result<(), StoreError> {
    let Root { name, kind, .. } = root;
    let is_good = !name.is_empty()
        && name.len() <= NAME_MAX_B
        && !name.contains(char::is_control)
        && Path::new(name).is_absolute() == (*kind == RootKind::Link);
    if is_good { Ok(()) } else { Err(StoreError::RootName { name: name.clone() }) }
}
