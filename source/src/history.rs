//! Walking a project's commits: is it one of its own, and which one last touched some paths.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use kbs_plan::error::{Class, Help};

use crate::mirror::{Mirror, MirrorError};
use crate::objects::{self, ReadError, TreeEntry};
use crate::oid::CommitId;
use crate::patterns::{Front, Holds, PathPatterns, Step};
use crate::project::ProjectName;
use crate::record::Snapshot;

/// The commit that last touched some paths could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The source store, or the project's record in it.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// No commit ever touched them.
    #[error("no commit up to {commit} of project `{project}` touches the selected paths")]
    NeverTouched {
        /// The project.
        project: ProjectName,
        /// Where the search began.
        commit: CommitId,
    },
    /// The object database.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Help for HistoryError {
    fn class(&self) -> Class {
        match self {
            Self::Mirror(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::NeverTouched { .. } => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Mirror(error) => error.help(),
            Self::Read(error) => error.help(),
            Self::NeverTouched { .. } => {
                Some("check the source paths of the recipe against the project's files".to_owned())
            }
        }
    }
}

impl Mirror {
    /// The last commit up to `commit` that changed something `paths` selects.
    ///
    /// As `git log -1 -- paths`: newest first by commit time; a merge that brought nothing new is
    /// followed only to the parent it agrees with.
    ///
    /// # Errors
    /// [`HistoryError`]
    pub fn last_touching(
        &self,
        project: &ProjectName,
        commit: CommitId,
        paths: &PathPatterns,
    ) -> Result<CommitId, HistoryError> {
        self.synced(project)?;
        let repo = self.repo();
        let mut trees = Trees::new(&repo);
        let mut queue = BinaryHeap::new();
        let mut seen = BTreeSet::new();
        let mut order = 0_u64;
        let mut commits = BTreeMap::new();
        let start = commit.to_git();
        commits.insert(start, objects::commit(&repo, &start)?);
        queue.push((commits[&start].time_s, Reverse(order), start));
        seen.insert(start);
        while let Some((_, _, id)) = queue.pop() {
            let this = commits.remove(&id).expect("what is queued was read");
            let mut follow = Vec::with_capacity(this.parents.len());
            let mut differs = true;
            for parent in &this.parents {
                let read = objects::commit(&repo, parent)?;
                if same(&mut trees, paths, Some(this.tree), Some(read.tree), &paths.start())? {
                    differs = false;
                    follow = vec![(*parent, read)];
                    break;
                }
                follow.push((*parent, read));
            }
            let is_root = this.parents.is_empty();
            if is_root && same(&mut trees, paths, Some(this.tree), None, &paths.start())? {
                continue;
            }
            if differs {
                return Ok(CommitId::from_git(&id));
            }
            for (parent, read) in follow {
                if seen.insert(parent) {
                    order += 1;
                    queue.push((read.time_s, Reverse(order), parent));
                    commits.insert(parent, read);
                }
            }
        }
        Err(HistoryError::NeverTouched { project: project.clone(), commit })
    }
}

/// Whether `commit` is in the history of one of the project's refs.
pub(crate) fn is_reachable(
    repo: &gix::Repository,
    snapshot: &Snapshot,
    commit: CommitId,
) -> Result<bool, ReadError> {
    let tips: BTreeSet<CommitId> =
        snapshot.record.refs.iter().filter_map(|entry| entry.commit).collect();
    if tips.contains(&commit) || snapshot.reachable.has(commit) {
        return Ok(true);
    }
    let error = |source: gix::Error| ReadError::Unreadable {
        oid: commit.to_string(),
        source: source.into(),
    };
    let walk = repo
        .rev_walk(tips.iter().map(|tip| tip.to_git()))
        .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
        .all()
        .map_err(error)?;
    let wanted = commit.to_git();
    for info in walk {
        if info.map_err(error)?.id == wanted {
            snapshot.reachable.add(commit);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Trees kept in memory for the next comparison.
const TREES_KEPT: usize = 1024;

/// Trees that were read.
pub(crate) struct Trees<'a> {
    repo: &'a gix::Repository,
    read: BTreeMap<gix::ObjectId, Rc<Entries>>,
}

type Entries = BTreeMap<Vec<u8>, TreeEntry>;

impl<'a> Trees<'a> {
    pub(crate) fn new(repo: &'a gix::Repository) -> Self {
        Self { repo, read: BTreeMap::new() }
    }

    /// The entries of a tree by name; of an absent one, none.
    pub(crate) fn entries(&mut self, id: Option<gix::ObjectId>) -> Result<Rc<Entries>, ReadError> {
        let Some(id) = id else { return Ok(Rc::default()) };
        if let Some(entries) = self.read.get(&id) {
            return Ok(Rc::clone(entries));
        }
        if self.read.len() >= TREES_KEPT {
            self.read.clear();
        }
        let entries = objects::tree(self.repo, &id)?;
        let entries = entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let entries: Rc<Entries> = Rc::new(entries);
        self.read.insert(id, Rc::clone(&entries));
        Ok(entries)
    }
}

/// Whether the patterns select the same from both trees; an absent tree is an empty one.
fn same(
    trees: &mut Trees<'_>,
    paths: &PathPatterns,
    ours: Option<gix::ObjectId>,
    theirs: Option<gix::ObjectId>,
    step: &Step,
) -> Result<bool, ReadError> {
    let front = match step {
        _ if ours == theirs => return Ok(true),
        Step::Skip => return Ok(true),
        Step::Take => return Ok(false),
        Step::Enter(front) => front,
    };
    let (ours, theirs) = (trees.entries(ours)?, trees.entries(theirs)?);
    let names: BTreeSet<&Vec<u8>> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let (our, their) = (ours.get(name), theirs.get(name));
        let differ = match (our, their) {
            (Some(our), Some(their)) => our.id != their.id || our.kind != their.kind,
            _ => true,
        };
        if differ && !same_entry(trees, paths, (our, their), front, name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the patterns select the same from two different entries of one name.
fn same_entry(
    trees: &mut Trees<'_>,
    paths: &PathPatterns,
    (our, their): (Option<&TreeEntry>, Option<&TreeEntry>),
    front: &Front,
    name: &[u8],
) -> Result<bool, ReadError> {
    let name = String::from_utf8_lossy(name);
    let file = |entry: Option<&TreeEntry>| entry.is_some_and(|entry| !entry.is_tree());
    let tree = |entry: Option<&TreeEntry>| entry.filter(|entry| entry.is_tree()).map(|e| e.id);
    let file_differs = file(our) || file(their);
    if file_differs && paths.step(front, &name, Holds::Nothing) == Step::Take {
        return Ok(false);
    }
    let step = paths.step(front, &name, Holds::Entries);
    same(trees, paths, tree(our), tree(their), &step)
}
