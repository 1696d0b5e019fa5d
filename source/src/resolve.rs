//! From what a person wrote to one commit.

use std::collections::{BTreeSet, HashSet};

use kbs_plan::error::{Class, Help};

use crate::history::is_reachable;
use crate::mirror::{Mirror, MirrorError};
use crate::objects::{self, ReadError};
use crate::oid::CommitId;
use crate::project::ProjectName;
use crate::record::{RefKind, Snapshot};

/// Fewest hex digits that are taken for an abbreviated commit.
const ABBREV_MIN: usize = 4;
const NEAR_MAX: usize = 3;

/// What a revision was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevKind {
    /// `HEAD` of the remote.
    Head,
    /// A tag, peeled.
    Tag,
    /// A branch.
    Branch,
    /// A whole object name.
    Full,
    /// An abbreviated one.
    Short,
    /// A describe string such as `v1.2-3-gabcdef0`.
    Describe,
}

/// A commit, and what it was found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub commit: CommitId,
    /// What the revision was.
    pub kind: RevKind,
    /// The branch of the same name that a tag won over, where it is at another commit.
    pub passed_over: Option<CommitId>,
}

/// A revision names no commit of the project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The source store, or the project's record in it.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// Neither a name nor a commit of the project.
    #[error("`{rev}` is no tag, branch or commit of project `{project}`")]
    Unknown {
        /// The project.
        project: ProjectName,
        /// The revision.
        rev: String,
        /// Up to three similar names.
        near: Vec<String>,
    },
    /// Several commits begin alike.
    #[error("`{rev}` is short for several commits: {}", listed(candidates))]
    Ambiguous {
        /// The revision.
        rev: String,
        /// The commits.
        candidates: Vec<CommitId>,
    },
    /// An expression of git's that is no name.
    #[error("`{rev}` cannot be a revision: only names and commits are understood")]
    Expression {
        /// The revision.
        rev: String,
    },
    /// A tag of something else.
    #[error("`{rev}` does not name a commit")]
    NotACommit {
        /// The revision.
        rev: String,
    },
    /// The object database.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn listed(commits: &[CommitId]) -> String {
    commits.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Help for ResolveError {
    fn class(&self) -> Class {
        match self {
            Self::Mirror(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Unknown { .. } => Class::NotFound,
            Self::Ambiguous { .. } | Self::Expression { .. } | Self::NotACommit { .. } => {
                Class::User
            }
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Mirror(error) => error.help(),
            Self::Read(error) => error.help(),
            Self::Unknown { rev, .. } if rev.ends_with("-dirty") => {
                Some("leave `-dirty` out: it stood for changes that no commit holds".to_owned())
            }
            Self::Unknown { project, near, .. } if near.is_empty() => {
                Some(format!("run `kbs source sync {project}` if it is new"))
            }
            Self::Unknown { project, near, .. } => Some(format!(
                "did you mean `{}`? Else run `kbs source sync {project}` if it is new",
                near.join("`, `")
            )),
            Self::Ambiguous { .. } => Some("write more digits".to_owned()),
            Self::Expression { .. } => {
                Some("write a tag, a branch, `HEAD`, a commit or a describe string".to_owned())
            }
            Self::NotACommit { .. } => None,
        }
    }
}

impl Mirror {
    /// The commit `rev` names in the project as it was last synced.
    ///
    /// Takes `HEAD`, tags, branches, `refs/tags/…`, `refs/heads/…`, whole commit names, abbreviated
    /// ones of at least 4 digits, and describe strings. A tag wins over a branch of the same name.
    /// A commit counts only if it is in the history of one of this project's refs, whatever else
    /// the store holds.
    ///
    /// # Errors
    /// [`ResolveError`]
    pub fn resolve(&self, project: &ProjectName, rev: &str) -> Result<Resolved, ResolveError> {
        let snapshot = self.synced(project)?;
        if !is_name(rev) {
            return Err(ResolveError::Expression { rev: rev.escape_debug().to_string() });
        }
        if let Ok(oid) = rev.parse::<CommitId>() {
            return self.by_digits(&snapshot, rev, &oid.to_string(), RevKind::Full);
        }
        if let Some(found) = by_name(&snapshot, rev)? {
            return Ok(found);
        }
        if let Some(digits) = describe_digits(rev) {
            return self.by_digits(&snapshot, rev, digits, RevKind::Describe);
        }
        if is_digits(rev) {
            return self.by_digits(&snapshot, rev, rev, RevKind::Short);
        }
        Err(unknown(&snapshot, rev))
    }

    fn by_digits(
        &self,
        snapshot: &Snapshot,
        rev: &str,
        digits: &str,
        kind: RevKind,
    ) -> Result<Resolved, ResolveError> {
        let repo = self.repo();
        let mut commits = BTreeSet::new();
        for id in beginning_with(&repo, digits)? {
            if let Some(commit) = objects::peel(&repo, id)?
                && is_reachable(&repo, snapshot, commit)?
            {
                commits.insert(commit);
            }
        }
        let mut candidates = commits.into_iter();
        match (candidates.next(), candidates.len()) {
            (None, _) => Err(unknown(snapshot, rev)),
            (Some(commit), 0) => Ok(Resolved { commit, kind, passed_over: None }),
            (Some(first), _) => Err(ResolveError::Ambiguous {
                rev: rev.to_owned(),
                candidates: std::iter::once(first).chain(candidates).collect(),
            }),
        }
    }
}

/// Objects of the store whose names begin with `digits`.
fn beginning_with(
    repo: &gix::Repository,
    digits: &str,
) -> Result<HashSet<gix::ObjectId>, ReadError> {
    let mut found = HashSet::new();
    let unreadable = |source: gix::Error| ReadError::Unreadable {
        oid: digits.to_owned(),
        source: source.into(),
    };
    let prefix = gix::hash::Prefix::from_hex(digits).map_err(unreadable)?;
    repo.objects.lookup_prefix(prefix, Some(&mut found)).map_err(unreadable)?;
    Ok(found)
}

fn by_name(snapshot: &Snapshot, rev: &str) -> Result<Option<Resolved>, ResolveError> {
    let find = |kind, name: &str| snapshot.find(kind, name);
    let (tag, branch) = if let Some(name) = rev.strip_prefix("refs/tags/") {
        (find(RefKind::Tag, name), None)
    } else if let Some(name) = rev.strip_prefix("refs/heads/") {
        (None, find(RefKind::Branch, name))
    } else if rev == "HEAD" {
        let head = find(RefKind::Head, "HEAD").and_then(|head| head.commit);
        return Ok(head.map(|commit| Resolved { commit, kind: RevKind::Head, passed_over: None }));
    } else {
        (find(RefKind::Tag, rev), find(RefKind::Branch, rev))
    };
    let (found, kind) = match (tag, branch) {
        (Some(tag), _) => (tag, RevKind::Tag),
        (None, Some(branch)) => (branch, RevKind::Branch),
        (None, None) => return Ok(None),
    };
    let Some(commit) = found.commit else {
        return Err(ResolveError::NotACommit { rev: rev.to_owned() });
    };
    let passed_over = tag.and(branch).and_then(|branch| branch.commit).filter(|b| *b != commit);
    Ok(Some(Resolved { commit, kind, passed_over }))
}

/// Whether `rev` could be a ref, leaving out the characters of git's expressions.
fn is_name(rev: &str) -> bool {
    let expression = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !(rev.is_empty()
        || rev == "@"
        || rev.starts_with('-')
        || rev.contains("..")
        || rev.contains("@{")
        || rev.contains(expression))
}

fn is_digits(text: &str) -> bool {
    (ABBREV_MIN..=40).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digits after `-g` of `name-3-gabcdef0`.
fn describe_digits(rev: &str) -> Option<&str> {
    let (front, digits) = rev.rsplit_once("-g")?;
    let (name, distance) = front.rsplit_once('-')?;
    let counted = !distance.is_empty() && distance.bytes().all(|b| b.is_ascii_digit());
    (!name.is_empty() && counted && is_digits(digits)).then_some(digits)
}

fn unknown(snapshot: &Snapshot, rev: &str) -> ResolveError {
    let names = snapshot.record.refs.iter().map(|entry| entry.name.as_str());
    ResolveError::Unknown {
        project: snapshot.record.name.clone(),
        rev: rev.to_owned(),
        near: near(rev, names),
    }
}

/// Up to three of `names` that begin with `wanted` or differ little from it, the nearest first.
pub(crate) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = names
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, name)| *distance <= limit || name.starts_with(wanted))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(NEAR_MAX).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_taken() {
        for good in ["v1.0", "feature/x", "pkg@1.0", "HEAD", "refs/heads/a"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-x", "HEAD~3", "a^", "a@{1}", ":/x", "a..b", "a b", "@", "a\n", "a*"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn describe_strings_are_told_from_names() {
        assert_eq!(describe_digits("v0.13.0-730-g84104bbbd"), Some("84104bbbd"));
        assert_eq!(describe_digits("a-g-b-1-gabcd"), Some("abcd"));
        for bad in ["v1-gabcd", "-1-gabcd", "v1-x-gabcd", "v1-1-gabc", "v1-1-gxyzw"] {
            assert_eq!(describe_digits(bad), None, "{bad}");
        }
    }

    #[test]
    fn near_names_are_few_and_nearest_first() {
        let names = ["v0.13.0", "v0.12.0", "v0.11.0", "v0.10.0", "master"];
        assert_eq!(near("v0.13", names.into_iter()), ["v0.13.0"]);
        assert_eq!(near("zzz", names.into_iter()), Vec::<String>::new());
        assert_eq!(near("v0.13.1", names.into_iter())[0], "v0.13.0");
        assert_eq!(near("mastre", names.into_iter()), ["master"]);
    }
}
