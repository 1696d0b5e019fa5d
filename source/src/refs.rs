//! The refs of one project in the bare repository: where they are, reading and deleting them.

use gix::refs::transaction::{Change, PreviousValue, RefEdit, RefLog};

use crate::objects::{self, BoxError, ReadError};
use crate::oid::{AnyOid, CommitId};
use crate::project::{ProjectName, SUBMODULE_MARK};
use crate::record::{Annotation, RefKind, StoredRef};

/// The branch that stands for the remote's HEAD.
pub(crate) const REMOTE_HEAD: &str = "REMOTE_HEAD";

/// What git is told to fetch for `project`.
///
/// A branch that is itself called `REMOTE_HEAD` is left out: its place is taken.
pub(crate) fn refspecs(project: &ProjectName, head: Head) -> Vec<String> {
    let mut specs = vec![
        format!("+refs/heads/*:refs/heads/{project}/*"),
        format!("+refs/tags/*:refs/tags/{project}/*"),
        format!("^refs/heads/{REMOTE_HEAD}"),
        format!("^refs/heads/{REMOTE_HEAD}/*"),
    ];
    if head == Head::Wanted {
        specs.push(format!("+HEAD:refs/heads/{project}/{REMOTE_HEAD}"));
    }
    specs
}

/// Whether the remote has a HEAD to fetch: an empty one, and one on an unborn branch, have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Wanted,
    Absent,
}

/// The directory of refs that keeps submodule repository number `index` of `project`.
pub(crate) fn submodule_namespace(project: &ProjectName, index: usize) -> String {
    format!("refs/heads/{project}{SUBMODULE_MARK}{index}/")
}

/// The refs could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefsError {
    #[error("cannot go through the refs")]
    Database(#[source] BoxError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn database(source: impl Into<BoxError>) -> RefsError {
    RefsError::Database(source.into())
}

/// Names below `prefix`, without it, and the objects they name.
pub(crate) fn list(
    repo: &gix::Repository,
    prefix: &str,
) -> Result<Vec<(String, gix::ObjectId)>, RefsError> {
    let platform = repo.references().map_err(database)?;
    let mut found = Vec::new();
    for entry in platform.prefixed(prefix).map_err(database)? {
        let mut entry = entry.map_err(database)?;
        let Ok(name) = std::str::from_utf8(entry.name().as_bstr()) else {
            tracing::warn!(r#ref = %entry.name().as_bstr(), "a ref that is not UTF-8 is left out");
            continue;
        };
        let Some(name) = name.strip_prefix(prefix).map(str::to_owned) else { continue };
        // A symbolic ref of a local clone: what it leads to, or nothing yet.
        let id = match entry.try_id() {
            Some(id) => id.detach(),
            None => match entry.follow_to_object() {
                Ok(id) => id.detach(),
                Err(_) => continue,
            },
        };
        found.push((name, id));
    }
    Ok(found)
}

/// All refs of `project`, sorted.
pub(crate) fn read(
    repo: &gix::Repository,
    project: &ProjectName,
) -> Result<Vec<StoredRef>, RefsError> {
    let mut refs = Vec::new();
    for (name, id) in list(repo, &format!("refs/heads/{project}/"))? {
        let (kind, name) = match name.as_str() {
            REMOTE_HEAD => (RefKind::Head, "HEAD".to_owned()),
            _ => (RefKind::Branch, name),
        };
        let (target, commit) = (AnyOid::from_git(&id), Some(CommitId::from_git(&id)));
        refs.push(StoredRef { kind, name, target, commit, annotation: None });
    }
    for (name, id) in list(repo, &format!("refs/tags/{project}/"))? {
        let annotation = match objects::any(repo, &id)?.0 {
            gix::objs::Kind::Tag => {
                let tag = objects::tag(repo, &id)?;
                let tagged = AnyOid::from_git(&tag.target);
                Some(Annotation { name: tag.name, tagged_at_s: tag.tagged_at_s, tagged })
            }
            _ => None,
        };
        let commit = objects::peel(repo, id)?;
        let target = AnyOid::from_git(&id);
        refs.push(StoredRef { kind: RefKind::Tag, name, target, commit, annotation });
    }
    refs.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(refs)
}

/// Deletes all refs of `project`, those of its submodules included.
pub(crate) fn delete(repo: &gix::Repository, project: &ProjectName) -> Result<(), RefsError> {
    let own = format!("{project}/");
    let submodules = format!("{project}{SUBMODULE_MARK}");
    let mut edits = Vec::new();
    for root in ["refs/heads/", "refs/tags/"] {
        for (name, _) in list(repo, root)? {
            if name.starts_with(&own) || name.starts_with(&submodules) {
                edits.push(deletion(format!("{root}{name}"))?);
            }
        }
    }
    repo.edit_references(edits).map_err(database)?;
    Ok(())
}

/// Deletes what stands for the remote's HEAD, which git's pruning passes over.
pub(crate) fn delete_head(repo: &gix::Repository, project: &ProjectName) -> Result<(), RefsError> {
    let edit = deletion(format!("refs/heads/{project}/{REMOTE_HEAD}"))?;
    repo.edit_reference(edit).map_err(database)?;
    Ok(())
}

fn deletion(name: String) -> Result<RefEdit, RefsError> {
    let change = Change::Delete { expected: PreviousValue::Any, log: RefLog::AndReference };
    Ok(RefEdit { change, name: name.try_into().map_err(database)?, deref: false })
}
