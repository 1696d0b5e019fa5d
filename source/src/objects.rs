//! Reads objects and believes none of them before its hash was compared.

use gix::objs::{CommitRef, Kind, TreeRefIter};
use kbs_plan::error::{Class, Help};
use kbs_plan::path::RelPath;

use crate::oid::{BlobOid, CommitId};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) const HASH: gix::hash::Kind = gix::hash::Kind::Sha1;

/// Tags of tags are followed this far.
const TAG_DEPTH_MAX: usize = 16;

/// An object of the store could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing of that name is in the store.
    #[error("object {oid} is not in the source store")]
    Missing {
        /// Its name.
        oid: String,
    },
    /// The bytes on disk are not the ones the name stands for, or are no object at all.
    #[error("object {oid} is damaged")]
    Corrupt {
        /// Its name.
        oid: String,
    },
    /// It is an object of another kind.
    #[error("object {oid} is a {found}, not a {wanted}")]
    WrongKind {
        /// Its name.
        oid: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The object database refused.
    #[error("cannot read object {oid} of the source store")]
    Unreadable {
        /// Its name.
        oid: String,
        /// Why.
        source: BoxError,
    },
}

impl Help for ReadError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::NotFound,
            Self::WrongKind { .. } => Class::User,
            Self::Corrupt { .. } | Self::Unreadable { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("run `kbs source sync` for its project".to_owned()),
            Self::Corrupt { .. } => {
                Some("move the source store away, then add and sync its projects again".to_owned())
            }
            Self::WrongKind { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// What of a commit the store works with.
pub(crate) struct Commit {
    pub(crate) tree: gix::ObjectId,
    pub(crate) parents: Vec<gix::ObjectId>,
    /// Committer time, seconds since 1970.
    pub(crate) time_s: i64,
}

/// What an annotated tag says.
pub(crate) struct TagObject {
    pub(crate) target: gix::ObjectId,
    /// The name inside the object, which describe strings show.
    pub(crate) name: String,
    /// Seconds since 1970, 0 where the tag does not say.
    pub(crate) tagged_at_s: i64,
}

/// One line of a tree object.
#[derive(Clone)]
pub(crate) struct TreeEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: gix::objs::tree::EntryKind,
    pub(crate) id: gix::ObjectId,
}

impl TreeEntry {
    pub(crate) fn is_tree(&self) -> bool {
        self.kind == gix::objs::tree::EntryKind::Tree
    }

    /// Whether it is a regular file.
    pub(crate) fn is_file(&self) -> bool {
        use gix::objs::tree::EntryKind::{Blob, BlobExecutable};
        matches!(self.kind, Blob | BlobExecutable)
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Tree => "tree",
        Kind::Blob => "blob",
        Kind::Commit => "commit",
        Kind::Tag => "tag",
    }
}

fn corrupt(id: &gix::oid) -> ReadError {
    ReadError::Corrupt { oid: id.to_hex().to_string() }
}

/// Any object, its hash compared.
pub(crate) fn any(repo: &gix::Repository, id: &gix::oid) -> Result<(Kind, Vec<u8>), ReadError> {
    let oid = || id.to_hex().to_string();
    let object = repo
        .try_find_object(id)
        .map_err(|source| ReadError::Unreadable { oid: oid(), source: source.into() })?
        .ok_or_else(|| ReadError::Missing { oid: oid() })?;
    let object = object.detach();
    let hash = gix::objs::compute_hash(HASH, object.kind, &object.data)
        .map_err(|source| ReadError::Unreadable { oid: oid(), source: source.into() })?;
    if *hash != *id {
        return Err(corrupt(id));
    }
    Ok((object.kind, object.data))
}

/// The size of a file, by its header alone.
pub(crate) fn size_b(repo: &gix::Repository, id: BlobOid) -> Result<u64, ReadError> {
    let id = id.to_git();
    let oid = || id.to_hex().to_string();
    let header = repo
        .try_find_header(id)
        .map_err(|source| ReadError::Unreadable { oid: oid(), source: source.into() })?
        .ok_or_else(|| ReadError::Missing { oid: oid() })?;
    Ok(header.size())
}

fn of_kind(repo: &gix::Repository, id: &gix::oid, wanted: Kind) -> Result<Vec<u8>, ReadError> {
    match any(repo, id)? {
        (kind, data) if kind == wanted => Ok(data),
        (kind, _) => Err(ReadError::WrongKind {
            oid: id.to_hex().to_string(),
            found: kind_name(kind),
            wanted: kind_name(wanted),
        }),
    }
}

pub(crate) fn blob(repo: &gix::Repository, id: BlobOid) -> Result<Vec<u8>, ReadError> {
    of_kind(repo, &id.to_git(), Kind::Blob)
}

pub(crate) fn commit(repo: &gix::Repository, id: &gix::oid) -> Result<Commit, ReadError> {
    let data = of_kind(repo, id, Kind::Commit)?;
    let commit = CommitRef::from_bytes(&data, HASH).map_err(|_| corrupt(id))?;
    let time_s = commit.committer().map_or(0, |signature| signature.seconds());
    Ok(Commit { tree: commit.tree(), parents: commit.parents().collect(), time_s })
}

/// The first line of a commit's message.
pub(crate) fn subject(repo: &gix::Repository, id: &gix::oid) -> Result<String, ReadError> {
    let data = of_kind(repo, id, Kind::Commit)?;
    let commit = CommitRef::from_bytes(&data, HASH).map_err(|_| corrupt(id))?;
    let message = String::from_utf8_lossy(commit.message);
    Ok(message.trim_start().lines().next().unwrap_or_default().trim_end().to_owned())
}

pub(crate) fn tag(repo: &gix::Repository, id: &gix::oid) -> Result<TagObject, ReadError> {
    let data = of_kind(repo, id, Kind::Tag)?;
    let tag = gix::objs::TagRef::from_bytes(&data, HASH).map_err(|_| corrupt(id))?;
    let tagger = tag.tagger().ok().flatten();
    Ok(TagObject {
        target: tag.target(),
        name: tag.name.to_string(),
        tagged_at_s: tagger.map_or(0, |signature| signature.seconds()),
    })
}

/// The entries of a tree in the order they are stored.
pub(crate) fn tree(repo: &gix::Repository, id: &gix::oid) -> Result<Vec<TreeEntry>, ReadError> {
    let data = of_kind(repo, id, Kind::Tree)?;
    TreeRefIter::from_bytes(&data, HASH)
        .map(|entry| {
            let entry = entry.map_err(|_| corrupt(id))?;
            Ok(TreeEntry {
                name: entry.filename.to_vec(),
                kind: entry.mode.kind(),
                id: entry.oid.to_owned(),
            })
        })
        .collect()
}

/// What stands at `path` below a tree.
pub(crate) fn entry_at(
    repo: &gix::Repository,
    tree: gix::ObjectId,
    path: &RelPath,
) -> Result<Option<TreeEntry>, ReadError> {
    let mut found: Option<TreeEntry> = None;
    for name in path.components() {
        let below = match &found {
            None => tree,
            Some(entry) if entry.is_tree() => entry.id,
            Some(_) => return Ok(None),
        };
        let mut entries = self::tree(repo, &below)?.into_iter();
        found = entries.find(|entry| entry.name == name.as_bytes());
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

/// The commit that `id` is or, through tags, stands for; `None` for trees and blobs.
pub(crate) fn peel(
    repo: &gix::Repository,
    id: gix::ObjectId,
) -> Result<Option<CommitId>, ReadError> {
    let mut id = id;
    for _ in 0..TAG_DEPTH_MAX {
        match any(repo, &id)?.0 {
            Kind::Commit => return Ok(Some(CommitId::from_git(&id))),
            Kind::Tag => id = tag(repo, &id)?.target,
            Kind::Tree | Kind::Blob => return Ok(None),
        }
    }
    Ok(None)
}
