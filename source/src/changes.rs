//! Walking back from a commit, past every change to some of its files.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::history::Trees;
use crate::mirror::Mirror;
use crate::objects::{self, ReadError, TreeEntry};
use crate::oid::{BlobOid, CommitId};
use crate::select::TREE_DEPTH_MAX;

/// What a commit did to some files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub commit: CommitId,
    /// When it was committed, in seconds since 1970.
    pub time_s: i64,
    /// The first line of its message.
    pub subject: String,
    /// The files that it changed, in no order.
    pub files: Vec<ChangedFile>,
}

/// A file before and after a commit, which differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its bytes in the first parent, `None` if it was not there.
    pub before: Option<BlobOid>,
    /// Its bytes in the commit, `None` if it is not there.
    pub after: Option<BlobOid>,
}

/// How far a walk goes.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Commits at most.
    pub commits: usize,
    /// When it has to be over.
    pub until: Instant,
}

impl Mirror {
    /// Shows `look` the changes to files whose names are `meant`, newest first, from `commit` on
    /// from first parent to first parent, until it has seen enough or `reach` is at its end.
    ///
    /// The first commit of a history is not shown: nothing was there before it.
    ///
    /// # Errors
    /// [`ReadError`] where the history cannot be read on: it is shallow, or damaged.
    pub fn changes(
        &self,
        commit: CommitId,
        meant: &dyn Fn(&[u8]) -> bool,
        reach: Reach,
        look: &mut dyn FnMut(&Change) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let repo = self.repo();
        let mut walk = Walk { trees: Trees::new(&repo), meant, until: reach.until };
        let mut id = commit.to_git();
        let mut this = objects::commit(&repo, &id)?;
        for _ in 0..reach.commits {
            let Some(&parent) = this.parents.first() else { return Ok(()) };
            let before = objects::commit(&repo, &parent)?;
            let mut files = Vec::new();
            if walk.compare((Some(before.tree), Some(this.tree)), 0, &mut files)?.is_break() {
                return Ok(());
            }
            if !files.is_empty() {
                let subject = objects::subject(&repo, &id)?;
                let commit = CommitId::from_git(&id);
                let change = Change { commit, time_s: this.time_s, subject, files };
                if look(&change).is_break() {
                    return Ok(());
                }
            }
            (id, this) = (parent, before);
        }
        Ok(())
    }
}

struct Walk<'a> {
    trees: Trees<'a>,
    meant: &'a dyn Fn(&[u8]) -> bool,
    until: Instant,
}

type Sides<T> = (Option<T>, Option<T>);

impl Walk<'_> {
    /// Finds the files that differ between two trees; breaks when there is no time left.
    fn compare(
        &mut self,
        (before, after): Sides<gix::ObjectId>,
        depth: usize,
        found: &mut Vec<ChangedFile>,
    ) -> Result<ControlFlow<()>, ReadError> {
        if before == after {
            return Ok(ControlFlow::Continue(()));
        }
        // A small repository can name the same tree over and over.
        if depth > TREE_DEPTH_MAX || Instant::now() >= self.until {
            return Ok(ControlFlow::Break(()));
        }
        let (before, after) = (self.trees.entries(before)?, self.trees.entries(after)?);
        let names: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
        for name in names {
            let sides = (before.get(name), after.get(name));
            if sides.0.map(|entry| entry.id) == sides.1.map(|entry| entry.id) {
                continue;
            }
            if (self.meant)(name) {
                let (before, after) = (file(sides.0), file(sides.1));
                if before != after {
                    found.push(ChangedFile { before, after });
                }
            }
            let below = (tree(sides.0), tree(sides.1));
            if self.compare(below, depth + 1, found)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn file(entry: Option<&TreeEntry>) -> Option<BlobOid> {
    entry.filter(|entry| entry.is_file()).map(|entry| BlobOid::from_git(&entry.id))
}

fn tree(entry: Option<&TreeEntry>) -> Option<gix::ObjectId> {
    entry.filter(|entry| entry.is_tree()).map(|entry| entry.id)
}
