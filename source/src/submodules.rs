//! Fetching the commits that a commit's submodules need.

use std::collections::VecDeque;

use gix::objs::tree::EntryKind;
use gix::refs::transaction::PreviousValue;
use kbs_plan::path::RelPath;

use crate::git::{self, Prune};
use crate::lock::StoreLock;
use crate::mirror::{Mirror, MirrorError, refs_error};
use crate::objects::{self, ReadError, TreeEntry};
use crate::oid::{BlobOid, CommitId};
use crate::project::ProjectName;
use crate::record::Record;
use crate::refs::{self, RefsError};
use crate::sync::SyncError;
use crate::url::SourceUrl;

/// Submodules within submodules.
pub(crate) const SUBMODULE_DEPTH_MAX: usize = 8;
const SUBMODULES_MAX: usize = 256;

/// The submodules of a commit, nested ones included, all in the store now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmodulesSynced {
    /// Each one's path in the whole tree and its commit, outer ones first.
    pub submodules: Vec<(RelPath, CommitId)>,
    /// How many had to be fetched.
    pub fetched: usize,
}

/// A repository whose submodules are still to be looked for.
struct Pending {
    commit: CommitId,
    at: Option<RelPath>,
    url: SourceUrl,
    depth: usize,
}

/// A submodule's commit that the store needs.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    project: &'a ProjectName,
    path: &'a RelPath,
    url: &'a SourceUrl,
    commit: CommitId,
}

impl Mirror {
    /// Fetches every commit that the submodules of `commit` need and the store lacks.
    ///
    /// Each is kept by a ref of its own, so a later sync of the project does not lose it.
    ///
    /// # Errors
    /// [`SyncError`]; what was fetched before the error stays.
    pub fn sync_submodules(
        &self,
        project: &ProjectName,
        commit: CommitId,
        progress: &mut dyn FnMut(&str),
    ) -> Result<SubmodulesSynced, SyncError> {
        let url = self.synced(project)?.url.clone();
        let lock = self.lock(|| progress("waiting for another sync to end"))?;
        let mut done = SubmodulesSynced::default();
        let mut queue = VecDeque::from([Pending { commit, at: None, url, depth: 0 }]);
        while let Some(parent) = queue.pop_front() {
            let repo = self.repo();
            let tree = objects::commit(&repo, &parent.commit.to_git())?.tree;
            for (path, url, commit) in gitlinks(&repo, tree)? {
                if parent.depth >= SUBMODULE_DEPTH_MAX {
                    let of = "submodules within each other";
                    return Err(too_many(project, SUBMODULE_DEPTH_MAX, of));
                }
                if done.submodules.len() >= SUBMODULES_MAX {
                    return Err(too_many(project, SUBMODULES_MAX, "submodules"));
                }
                let at = match &parent.at {
                    Some(above) => above.join(path.as_str()).unwrap_or_else(|_| path.clone()),
                    None => path.clone(),
                };
                let url = parent.url.submodule(&url).map_err(|source| SyncError::SubmoduleUrl {
                    project: project.clone(),
                    path: at.clone(),
                    source,
                })?;
                let wanted = Wanted { project, path: &at, url: &url, commit };
                if self.fetch_commit(&lock, wanted, progress)? {
                    done.fetched += 1;
                }
                done.submodules.push((at.clone(), commit));
                queue.push_back(Pending { commit, at: Some(at), url, depth: parent.depth + 1 });
            }
        }
        Ok(done)
    }

    /// Whether it had to be fetched.
    fn fetch_commit(
        &self,
        lock: &StoreLock,
        wanted: Wanted<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<bool, SyncError> {
        let Wanted { project, path, url, commit } = wanted;
        let namespace = self.namespace(project, url)?;
        let kept = format!("{namespace}{commit}");
        let repo = self.reopen()?;
        let found = repo
            .try_find_reference(kept.as_str())
            .map_err(|source| refs_error(project, RefsError::Database(source.into())))?;
        if found.is_some() {
            return Ok(false);
        }
        let failed = |source| SyncError::Submodule {
            project: project.clone(),
            path: path.clone(),
            commit,
            url: Box::new(url.clone()),
            source,
        };
        let mut fetch =
            |specs: &[String]| git::fetch(lock, self.dir(), url, (specs, Prune::No), progress);
        if fetch(&[format!("{commit}:{kept}")]).is_ok() {
            self.reopen()?;
            return Ok(true);
        }
        // Some servers hand out only what their refs point at: take all of it, keep the one commit.
        let everything =
            ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:{namespace}{kind}/*"));
        fetch(&everything).map_err(|git| failed(Some(Box::new(git))))?;
        let repo = self.reopen()?;
        if !repo.has_object(commit.to_git()) {
            return Err(failed(None));
        }
        repo.reference(kept.as_str(), commit.to_git(), PreviousValue::Any, "")
            .map_err(|source| refs_error(project, RefsError::Database(source.into())))?;
        Ok(true)
    }

    /// The directory of refs for `url`, a new number for a new one.
    fn namespace(&self, project: &ProjectName, url: &SourceUrl) -> Result<String, MirrorError> {
        let Some(mut record) = Record::read(self.dir(), project)? else {
            return Err(MirrorError::NoProject { project: project.clone(), near: Vec::new() });
        };
        let text = url.with_secrets();
        if let Some(index) = record.submodules.iter().position(|known| known == text) {
            return Ok(refs::submodule_namespace(project, index));
        }
        record.submodules.push(text.to_owned());
        record.write(self.dir())?;
        let index = record.submodules.len() - 1;
        Ok(refs::submodule_namespace(project, index))
    }
}

fn too_many(project: &ProjectName, limit: usize, of: &'static str) -> SyncError {
    SyncError::TooManySubmodules { project: project.clone(), limit, of }
}

/// Path, URL as written and commit of every submodule of `tree`, by path.
///
/// One that `.gitmodules` does not name cannot be fetched, and is not looked for.
fn gitlinks(
    repo: &gix::Repository,
    tree: gix::ObjectId,
) -> Result<Vec<(RelPath, String, CommitId)>, ReadError> {
    let mut found = Vec::new();
    for (path, url) in modules(repo, tree)? {
        // A path that is none is refused when it is selected, with its name.
        let Ok(path) = RelPath::new(path) else { continue };
        if let Some(entry) = objects::entry_at(repo, tree, &path)?
            && entry.kind == EntryKind::Commit
        {
            found.push((path, url, CommitId::from_git(&entry.id)));
        }
    }
    found.sort();
    Ok(found)
}

/// Path and URL of every submodule that `.gitmodules` at the root of `tree` names completely.
pub(crate) fn modules(
    repo: &gix::Repository,
    tree: gix::ObjectId,
) -> Result<Vec<(String, String)>, ReadError> {
    let entries = objects::tree(repo, &tree)?;
    let file = |entry: &&TreeEntry| {
        entry.name == b".gitmodules"
            && matches!(entry.kind, EntryKind::Blob | EntryKind::BlobExecutable)
    };
    let Some(file) = entries.iter().find(file) else { return Ok(Vec::new()) };
    let bytes = objects::blob(repo, BlobOid::from_git(&file.id))?;
    let overrides = gix::config::File::default();
    let Ok(modules) = gix::submodule::File::from_bytes(&bytes, None, &overrides) else {
        return Ok(Vec::new());
    };
    let value = |name, key| modules.config().string_by("submodule", Some(name), key);
    let module = |name| Some((value(name, "path")?.to_string(), value(name, "url")?.to_string()));
    Ok(modules.names().filter_map(module).collect())
}
