//! The version string: what `git describe --always --tags --long` says in a full clone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gix::bstr::{BStr, ByteSlice};
use gix::revision::plumbing::describe;
use gix::revision::plumbing::describe::Options;

use crate::mirror::Mirror;
use crate::objects::ReadError;
use crate::oid::{AnyOid, CommitId};
use crate::project::ProjectName;
use crate::record::{Described, RefKind, Snapshot, StoredRef};
use crate::resolve::ResolveError;

/// How many hex digits of the commit a version string shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abbrev {
    /// As many as a full clone of the project shows at its last sync.
    Auto,
    /// Exactly this many, at least 4 and at most 40.
    Digits(u8),
}

impl Mirror {
    /// The version string of `commit`, from this project's tags only.
    ///
    /// `name-distance-gdigits`, or the digits alone where no tag is reachable. Of several tags on
    /// one commit an annotated one wins, the newest; then the first by name.
    ///
    /// # Errors
    /// [`ResolveError::Mirror`], [`ResolveError::Read`].
    pub fn describe(
        &self,
        project: &ProjectName,
        commit: CommitId,
        abbrev: Abbrev,
    ) -> Result<String, ResolveError> {
        let snapshot = self.synced(project)?;
        let described = if let Some(described) = snapshot.described.get(&commit) {
            described
        } else {
            let described = self.describe_anew(&snapshot, commit)?;
            snapshot.described.put(commit, described.clone());
            described
        };
        let Described { nearest, shown } = described;
        let digits = match abbrev {
            Abbrev::Auto => snapshot.counted().digits_of(shown),
            Abbrev::Digits(digits) => digits.clamp(4, 40),
        };
        let mut hex = shown.to_string();
        hex.truncate(usize::from(digits));
        Ok(match nearest {
            Some((name, distance)) => format!("{name}-{distance}-g{hex}"),
            None => hex,
        })
    }

    fn describe_anew(&self, snapshot: &Snapshot, commit: CommitId) -> Result<Described, ReadError> {
        let repo = self.repo();
        let tags = best_tags(snapshot.refs_of(RefKind::Tag));
        let name_by_oid: Names<'_> =
            tags.iter().map(|(id, tag)| (id.to_git(), name(tag))).collect();
        let options =
            Options { name_by_oid, fallback_to_oid: true, max_candidates: 10, first_parent: false };
        // It only saves time: without it, or with a damaged one, the commits themselves are read.
        let commit_graph = repo.commit_graph_if_enabled().ok().flatten();
        let mut graph = repo.revision_graph(commit_graph.as_ref());
        let found = describe(&commit.to_git(), &mut graph, options).map_err(|source| {
            ReadError::Unreadable { oid: commit.to_string(), source: source.into() }
        })?;
        let nearest =
            found.and_then(|found| Some((found.name?.to_str_lossy().into_owned(), found.depth)));
        // On the tagged commit itself git shows what the tag tags, be it another tag.
        let tagged = tags.get(&commit).and_then(|tag| tag.annotation.as_ref()).map(|a| a.tagged);
        let shown = tagged.unwrap_or(AnyOid::from_bytes(*commit.as_bytes()));
        Ok(Described { nearest, shown })
    }
}

type Names<'a> = gix::hashtable::HashMap<gix::ObjectId, Cow<'a, BStr>>;

/// The one tag that names each tagged commit.
fn best_tags<'a>(tags: impl Iterator<Item = &'a StoredRef>) -> BTreeMap<CommitId, &'a StoredRef> {
    let mut best = BTreeMap::<CommitId, &StoredRef>::new();
    for tag in tags {
        let Some(commit) = tag.commit else { continue };
        let standing = best.entry(commit).or_insert(tag);
        if rank(tag) > rank(standing) {
            *standing = tag;
        }
    }
    best
}

/// Annotated over lightweight, newer over older; the first by name stays where these are equal.
fn rank(tag: &StoredRef) -> Option<i64> {
    tag.annotation.as_ref().map(|annotation| annotation.tagged_at_s)
}

/// An annotated tag is called what its object says, whatever the ref is called.
fn name(tag: &StoredRef) -> Cow<'_, BStr> {
    let name = tag.annotation.as_ref().map_or(&tag.name, |annotation| &annotation.name);
    Cow::Borrowed(name.as_bytes().as_bstr())
}
