//! The rows that every look-up and every collection reads: few bytes of fixed shape.
//!
//! What else is known of a thing is in its file below `meta/`, which the row has the hash of.

use kbs_plan::id::{BlobId, BuildKey, ContentKey, ID_LEN, Id, TreeId};

use crate::row::RowError;

/// What the index knows of an output.
///
/// | offset | bytes | what                                             |
/// |--------|-------|--------------------------------------------------|
/// | 0      | 1     | version, 2                                       |
/// | 1      | 32    | tree                                             |
/// | 33     | 32    | content key                                      |
/// | 65     | 32    | key that its directory is called by              |
/// | 97     | 32    | hash of its file below `meta/`                   |
/// | 129    | 4     | entries of its tree, little endian               |
/// | 133    | 8     | size in bytes, little endian                     |
/// | 141    | 8     | when it was made, Unix seconds, little endian    |
/// | 149    | 1     | 1 where it has marks, else 0                     |
/// | 150    | 2     | length `n` of the project's name, little endian  |
/// | 152    | `n`   | the project's name                               |
/// | 152+n  | rest  | the name that its directory is called by         |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Its files.
    pub tree: TreeId,
    /// The key of the same derivation by content.
    pub content: ContentKey,
    /// The key that its directory is called by: its own, or that of the output it equals.
    pub stored_as: BuildKey,
    /// The hash of its file below `meta/`.
    pub meta: BlobId,
    /// Number of entries in the tree, directories included.
    pub entries: u32,
    /// Sum of the file sizes, in bytes.
    pub size_b: u64,
    /// When it was finished, in Unix seconds.
    pub created_unix_s: u64,
    /// Whether it was made in a sandbox that was not whole.
    pub marked: bool,
    /// The project's name.
    pub project: String,
    /// The name that its directory is called by.
    pub stored_name: String,
}

const INDEX_VERSION: u8 = 2;

/// Longest project's name that a row has room for, in bytes. Whoever makes a row has looked.
pub(crate) const PROJECT_MAX_B: usize = u16::MAX as usize;

impl IndexRow {
    /// The bytes to store.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self {
            tree,
            content,
            stored_as,
            meta,
            entries,
            size_b,
            created_unix_s,
            marked,
            project,
            stored_name,
        } = self;
        let project_b = u16::try_from(project.len()).expect("longer names are refused before");
        let mut bytes = Vec::with_capacity(152 + project.len() + stored_name.len());
        bytes.push(INDEX_VERSION);
        bytes.extend_from_slice(tree.as_bytes());
        bytes.extend_from_slice(content.as_bytes());
        bytes.extend_from_slice(stored_as.as_bytes());
        bytes.extend_from_slice(meta.as_bytes());
        bytes.extend_from_slice(&entries.to_le_bytes());
        bytes.extend_from_slice(&size_b.to_le_bytes());
        bytes.extend_from_slice(&created_unix_s.to_le_bytes());
        bytes.push((*marked).into());
        bytes.extend_from_slice(&project_b.to_le_bytes());
        bytes.extend_from_slice(project.as_bytes());
        bytes.extend_from_slice(stored_name.as_bytes());
        bytes
    }

    /// Reads stored bytes back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::of(bytes, INDEX_VERSION)?;
        Ok(Self {
            tree: fields.id()?,
            content: fields.id()?,
            stored_as: fields.id()?,
            meta: fields.id()?,
            entries: u32::from_le_bytes(fields.take()?),
            size_b: u64::from_le_bytes(fields.take()?),
            created_unix_s: u64::from_le_bytes(fields.take()?),
            marked: fields.take::<1>()? != [0],
            project: {
                let length = u16::from_le_bytes(fields.take()?);
                fields.text(length.into())?
            },
            stored_name: {
                let rest = fields.rest.len();
                fields.text(rest)?
            },
        })
    }
}

/// What the index knows of a source layer or of an image: a tree that is no output.
///
/// | offset | bytes | what                                          |
/// |--------|-------|-----------------------------------------------|
/// | 0      | 1     | version, 1                                    |
/// | 1      | 32    | tree                                          |
/// | 33     | 4     | entries of the tree, little endian            |
/// | 37     | 8     | size in bytes, little endian                  |
/// | 45     | 8     | when it was made, Unix seconds, little endian |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeRow {
    /// Its files.
    pub tree: TreeId,
    /// Number of entries, directories included.
    pub entries: u32,
    /// Sum of the file sizes, in bytes.
    pub size_b: u64,
    /// When it was stored, in Unix seconds.
    pub created_unix_s: u64,
}

const TREE_VERSION: u8 = 1;

impl TreeRow {
    /// The bytes to store.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { tree, entries, size_b, created_unix_s } = self;
        let mut bytes = Vec::with_capacity(53);
        bytes.push(TREE_VERSION);
        bytes.extend_from_slice(tree.as_bytes());
        bytes.extend_from_slice(&entries.to_le_bytes());
        bytes.extend_from_slice(&size_b.to_le_bytes());
        bytes.extend_from_slice(&created_unix_s.to_le_bytes());
        bytes
    }

    /// Reads stored bytes back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        let mut fields = Fields::of(bytes, TREE_VERSION)?;
        let row = Self {
            tree: fields.id()?,
            entries: u32::from_le_bytes(fields.take()?),
            size_b: u64::from_le_bytes(fields.take()?),
            created_unix_s: u64::from_le_bytes(fields.take()?),
        };
        if fields.rest.is_empty() { Ok(row) } else { Err(DAMAGED) }
    }
}

const DAMAGED: RowError = RowError::Damaged { source: None };

/// What of a row is not read yet.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8], known: u8) -> Result<Self, RowError> {
        match bytes.split_first() {
            Some((&found, rest)) if found == known => Ok(Self { rest }),
            Some((&found, _)) => Err(RowError::Version { found, known }),
            None => Err(DAMAGED),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(DAMAGED)?;
        self.rest = rest;
        Ok(*field)
    }

    fn id<K>(&mut self) -> Result<Id<K>, RowError> {
        self.take::<ID_LEN>().map(Id::from_bytes)
    }

    fn text(&mut self, length: usize) -> Result<String, RowError> {
        let (field, rest) = self.rest.split_at_checked(length).ok_or(DAMAGED)?;
        self.rest = rest;
        std::str::from_utf8(field).map(str::to_owned).map_err(|_| DAMAGED)
    }
}
