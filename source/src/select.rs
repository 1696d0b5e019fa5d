//! What a build may see of a commit: the selected paths, named by content.

use std::collections::BTreeSet;

use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;
use kbs_plan::error::{Class, Help};
use kbs_plan::id::{Id, IdHasher, Kind};
use kbs_plan::path::{PATH_MAX_B, PathError, RelPath};

use crate::mirror::Mirror;
use crate::objects::{self, ReadError, TreeEntry};
use crate::oid::{BlobOid, CommitId};
use crate::patterns::{Holds, PathPatterns, Step};
use crate::submodules::{SUBMODULE_DEPTH_MAX, modules};

/// More entries than any project has: a small repository can name the same tree over and over.
const ITEMS_MAX: usize = 1_000_000;
/// Directories within directories.
pub(crate) const TREE_DEPTH_MAX: usize = 256;

/// The files that a choice of paths selects from a commit, by content.
#[derive(Debug)]
pub enum Selected {}

impl Kind for Selected {
    const PREFIX: &'static str = "selection";
    const CONTEXT: &'static str = "kbs 2026-11 selection v1";
}

/// Names one [`Selection`]: equal ids promise equal files, whatever commit they came from.
pub type SelectionId = Id<Selected>;

/// What stands at one selected path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A regular file.
    File {
        /// Its bytes.
        oid: BlobOid,
        /// Whether it may be run.
        executable: bool,
    },
    /// A symbolic link; it may lead anywhere.
    Symlink {
        /// Where it points, as written.
        target: String,
    },
    /// An empty directory: a submodule that was left out.
    Directory,
}

/// One selected path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where, below the root.
    pub path: RelPath,
    /// What.
    pub kind: ItemKind,
}

/// The selected paths of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// A hash over every item.
    pub id: SelectionId,
    /// The items, by path in byte order, no path twice.
    pub items: Vec<Item>,
    /// Submodules that were spliced in, by path.
    pub submodules: Vec<(RelPath, CommitId)>,
}

/// What becomes of submodules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// Each is an empty directory, as after a plain `git clone`.
    Ignore,
    /// Their files are part of the tree.
    Include,
}

/// A commit's files could not be selected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A path that could leave the tree, or that no tree can hold.
    #[error("cannot use the files of {commit}")]
    BadPath {
        /// The commit.
        commit: CommitId,
        /// The rule the path breaks.
        source: PathError,
    },
    /// A name with a meaning of its own.
    #[error("cannot use the files of {commit}: `{path}` is reserved for git itself")]
    Reserved {
        /// The commit.
        commit: CommitId,
        /// The path.
        path: String,
    },
    /// Two things at one path.
    #[error("cannot use the files of {commit}: `{path}` is there twice")]
    Twice {
        /// The commit.
        commit: CommitId,
        /// The path.
        path: RelPath,
    },
    /// A symbolic link whose target is no path.
    #[error("cannot use the files of {commit}: the symbolic link `{path}` has no usable target")]
    BadSymlink {
        /// The commit.
        commit: CommitId,
        /// The path.
        path: RelPath,
    },
    /// More of something than any project has.
    #[error("cannot use the files of {commit}: more than {limit} {of}")]
    TooMany {
        /// The commit.
        commit: CommitId,
        /// How many are allowed.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
    /// A submodule was not fetched.
    #[error(
        "the submodule `{path}` needs commit {missing} of {url}, which is not in the source store"
    )]
    MissingSubmodule {
        /// The submodule's path.
        path: RelPath,
        /// Its commit.
        missing: CommitId,
        /// Where `.gitmodules` says it is.
        url: String,
    },
    /// The object database.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Help for SelectError {
    fn class(&self) -> Class {
        match self {
            Self::Read(error) => error.class(),
            Self::MissingSubmodule { .. } => Class::NotFound,
            _ => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read(error) => error.help(),
            Self::MissingSubmodule { .. } => {
                Some("fetch it with `kbs source sync NAME --submodules`".to_owned())
            }
            _ => None,
        }
    }
}

impl Mirror {
    /// What `paths` selects of `commit`. Directories that cannot match are not read.
    ///
    /// # Errors
    /// [`SelectError`]
    pub fn select(
        &self,
        commit: CommitId,
        paths: &PathPatterns,
        submodules: Submodules,
    ) -> Result<Selection, SelectError> {
        let repo = self.repo();
        let mut walk =
            Walk { repo: &repo, commit, paths, submodules, items: Vec::new(), spliced: Vec::new() };
        walk.commit(commit, None, &paths.start(), 0)?;
        let Walk { mut items, mut spliced, .. } = walk;
        items.sort_by(|a, b| a.path.cmp(&b.path));
        spliced.sort();
        Ok(Selection { id: id(&items), items, submodules: spliced })
    }
}

struct Walk<'a> {
    repo: &'a gix::Repository,
    commit: CommitId,
    paths: &'a PathPatterns,
    submodules: Submodules,
    items: Vec<Item>,
    spliced: Vec<(RelPath, CommitId)>,
}

/// The repository being walked: where its root is in the selection, and how deep it is nested.
#[derive(Clone, Copy)]
struct Root<'a> {
    tree: gix::ObjectId,
    at: Option<&'a RelPath>,
    depth: usize,
}

impl Walk<'_> {
    fn commit(
        &mut self,
        commit: CommitId,
        at: Option<&RelPath>,
        step: &Step,
        depth: usize,
    ) -> Result<(), SelectError> {
        if depth > SUBMODULE_DEPTH_MAX {
            return Err(self.too_many(SUBMODULE_DEPTH_MAX, "submodules within each other"));
        }
        let tree = objects::commit(self.repo, &commit.to_git())?.tree;
        self.tree(Root { tree, at, depth }, tree, at, step)
    }

    fn tree(
        &mut self,
        root: Root<'_>,
        tree: gix::ObjectId,
        at: Option<&RelPath>,
        step: &Step,
    ) -> Result<(), SelectError> {
        if at.is_some_and(|at| at.components().count() > TREE_DEPTH_MAX) {
            return Err(self.too_many(TREE_DEPTH_MAX, "directories within each other"));
        }
        let entries = objects::tree(self.repo, &tree)?;
        let mut names = BTreeSet::new();
        if let Some(twice) = entries.iter().find(|entry| !names.insert(&entry.name)) {
            let path = self.path(at, &twice.name)?;
            return Err(SelectError::Twice { commit: self.commit, path });
        }
        for entry in &entries {
            let holds = match entry.kind {
                EntryKind::Tree | EntryKind::Commit => Holds::Entries,
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => Holds::Nothing,
            };
            let next = match step {
                Step::Take => Step::Take,
                Step::Skip => return Ok(()),
                // A name that is not UTF-8 matches no pattern but `*`, and is refused below.
                Step::Enter(front) => self.paths.step(front, &entry.name.to_str_lossy(), holds),
            };
            if next != Step::Skip {
                let path = self.path(at, &entry.name)?;
                self.entry(root, entry, path, &next)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        root: Root<'_>,
        entry: &TreeEntry,
        path: RelPath,
        step: &Step,
    ) -> Result<(), SelectError> {
        let oid = BlobOid::from_git(&entry.id);
        let kind = match entry.kind {
            EntryKind::Tree => return self.tree(root, entry.id, Some(&path), step),
            EntryKind::Commit if self.submodules == Submodules::Include => {
                return self.submodule(root, CommitId::from_git(&entry.id), &path, step);
            }
            EntryKind::Commit if *step != Step::Take => return Ok(()),
            EntryKind::Commit => ItemKind::Directory,
            EntryKind::Blob => ItemKind::File { oid, executable: false },
            EntryKind::BlobExecutable => ItemKind::File { oid, executable: true },
            EntryKind::Link => ItemKind::Symlink { target: self.target(oid, &path)? },
        };
        if self.items.len() >= ITEMS_MAX {
            return Err(self.too_many(ITEMS_MAX, "files"));
        }
        self.items.push(Item { path, kind });
        Ok(())
    }

    fn submodule(
        &mut self,
        root: Root<'_>,
        commit: CommitId,
        path: &RelPath,
        step: &Step,
    ) -> Result<(), SelectError> {
        let spliced = self.commit(commit, Some(path), step, root.depth + 1);
        match spliced {
            Err(SelectError::Read(ReadError::Missing { oid })) if oid == commit.to_string() => {
                let within = match root.at {
                    Some(at) => &path.as_str()[at.as_str().len() + 1..],
                    None => path.as_str(),
                };
                let modules = modules(self.repo, root.tree)?;
                let url = modules.into_iter().find(|(path, _)| path == within);
                let url = url.map_or_else(|| "an unknown place".to_owned(), |(_, url)| url);
                Err(SelectError::MissingSubmodule { path: path.clone(), missing: commit, url })
            }
            Ok(()) => {
                self.spliced.push((path.clone(), commit));
                Ok(())
            }
            error => error,
        }
    }

    fn path(&self, at: Option<&RelPath>, name: &[u8]) -> Result<RelPath, SelectError> {
        let bad = |source| SelectError::BadPath { commit: self.commit, source };
        let name = RelPath::from_bytes(name).map_err(bad)?;
        if name.as_str().contains('/') || name.as_str().eq_ignore_ascii_case(".git") {
            let path = at.map_or_else(|| name.to_string(), |at| format!("{at}/{name}"));
            return Err(SelectError::Reserved { commit: self.commit, path });
        }
        match at {
            Some(at) => at.join(name.as_str()).map_err(bad),
            None => Ok(name),
        }
    }

    fn target(&self, oid: BlobOid, path: &RelPath) -> Result<String, SelectError> {
        let bytes = objects::blob(self.repo, oid)?;
        match String::from_utf8(bytes) {
            Ok(target) if (1..=PATH_MAX_B).contains(&target.len()) && !target.contains('\0') => {
                Ok(target)
            }
            _ => Err(SelectError::BadSymlink { commit: self.commit, path: path.clone() }),
        }
    }

    fn too_many(&self, limit: usize, of: &'static str) -> SelectError {
        SelectError::TooMany { commit: self.commit, limit, of }
    }
}

/// Each field length-prefixed: path, kind, and what the kind is about.
pub(crate) fn id<'a, K: Kind>(items: impl IntoIterator<Item = &'a Item>) -> Id<K> {
    let mut hasher = IdHasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for Item { path, kind } in items {
        field(path.as_str().as_bytes());
        match kind {
            ItemKind::File { oid, executable } => {
                field(if *executable { b"executable" } else { b"file" });
                field(oid.as_bytes());
            }
            ItemKind::Symlink { target } => {
                field(b"symlink");
                field(target.as_bytes());
            }
            ItemKind::Directory => field(b"directory"),
        }
    }
    hasher.finish()
}
