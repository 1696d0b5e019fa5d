//! What is known of each project: one small file each, replaced whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::count::{Counted, NOTHING};
use crate::mirror::MirrorError;
use crate::oid::{AnyOid, CommitId};
use crate::project::ProjectName;
use crate::url::SourceUrl;

const VERSION: u32 = 1;
/// Answers kept in memory per project before they are dropped and found anew.
const MEMO_MAX: usize = 4096;

/// What a person is shown of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    /// Its name.
    pub name: ProjectName,
    /// Where it is fetched from.
    pub url: SourceUrl,
    /// When it was last synced, in seconds since 1970; `None` before the first time.
    pub synced_at: Option<i64>,
    /// Objects reachable from its branches and tags. Exact after a first sync; later an upper bound
    /// that is counted anew whenever the difference could change an abbreviation.
    pub object_count: u64,
    /// Hex digits that a full clone of it abbreviates a commit to.
    pub abbrev_digits: u8,
}

/// What a ref is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    /// Where the remote's HEAD pointed.
    Head,
    /// A branch.
    Branch,
    /// A tag, annotated or not.
    Tag,
}

/// One ref of a project, its name without the project's prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefEntry {
    /// What it is.
    pub kind: RefKind,
    /// `HEAD`, or the name of the branch or tag.
    pub name: String,
    /// The commit, tags peeled.
    pub commit: CommitId,
    /// What the ref itself points at: an annotated tag's own object, else the commit.
    pub target: AnyOid,
}

/// A ref as the last sync left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRef {
    pub(crate) kind: RefKind,
    pub(crate) name: String,
    /// The object it points at; of a branch always a commit.
    pub(crate) target: AnyOid,
    /// The commit that is or stands for; `None` where a tag names a tree or a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<CommitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotation: Option<Annotation>,
}

/// What describe strings need of an annotated tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Annotation {
    pub(crate) name: String,
    pub(crate) tagged_at_s: i64,
    /// What it tags: another tag, now and then.
    pub(crate) tagged: AnyOid,
}

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) name: ProjectName,
    /// With its password: the file is readable by its owner only.
    url: String,
    pub(crate) synced_at: Option<i64>,
    pub(crate) counted: Option<Counted>,
    pub(crate) refs: Vec<StoredRef>,
    /// URLs of submodules; the position is the number in their refs.
    #[serde(default)]
    pub(crate) submodules: Vec<String>,
}

/// A project at its last sync, and what was worked out about it since.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) record: Record,
    pub(crate) url: SourceUrl,
    pub(crate) described: Memo<BTreeMap<CommitId, Described>>,
    /// Commits found in the history of the project's refs.
    pub(crate) reachable: Memo<BTreeSet<CommitId>>,
}

/// A version string before it is abbreviated.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// The nearest tag and the commits it lacks; `None` where no tag is reachable.
    pub(crate) nearest: Option<(String, u32)>,
    /// The object whose digits are shown.
    pub(crate) shown: AnyOid,
}

/// A memory of answers; losing it costs time only.
#[derive(Debug, Default)]
pub(crate) struct Memo<T>(Mutex<T>);

impl<T> Memo<T> {
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Ord, V: Clone> Memo<BTreeMap<K, V>> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.with(|map| map.get(key).cloned())
    }

    pub(crate) fn put(&self, key: K, value: V) {
        self.with(|map| {
            if map.len() >= MEMO_MAX {
                map.clear();
            }
            map.insert(key, value);
        });
    }
}

impl Memo<BTreeSet<CommitId>> {
    pub(crate) fn has(&self, commit: CommitId) -> bool {
        self.with(|set| set.contains(&commit))
    }

    pub(crate) fn add(&self, commit: CommitId) {
        self.with(|set| {
            if set.len() >= MEMO_MAX {
                set.clear();
            }
            set.insert(commit);
        });
    }
}

impl Record {
    pub(crate) fn new(name: ProjectName, url: &SourceUrl) -> Self {
        Self {
            version: VERSION,
            name,
            url: url.with_secrets().to_owned(),
            synced_at: None,
            counted: None,
            refs: Vec::new(),
            submodules: Vec::new(),
        }
    }

    /// The same project, fetched from elsewhere and not yet synced from there.
    pub(crate) fn moved_to(self, url: &SourceUrl) -> Self {
        Self { url: url.with_secrets().to_owned(), synced_at: None, ..self }
    }

    /// Reads the record of `name`; `None` where there is none.
    pub(crate) fn read(dir: &Path, name: &ProjectName) -> Result<Option<Self>, MirrorError> {
        let path = record_path(dir, name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MirrorError::Record { path, source }),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(record) if record.version == VERSION && record.name == *name => Ok(Some(record)),
            _ => Err(MirrorError::BadRecord { path }),
        }
    }

    /// Writes it whole: readers see the old one or this one.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), MirrorError> {
        let path = record_path(dir, &self.name);
        let write = || -> std::io::Result<()> {
            let parent = path.parent().expect("record paths have a directory");
            let mut file = tempfile::NamedTempFile::new_in(parent)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            std::fs::File::open(parent)?.sync_all()
        };
        write().map_err(|source| MirrorError::Record { path: path.clone(), source })
    }

    pub(crate) fn remove(dir: &Path, name: &ProjectName) -> Result<(), MirrorError> {
        let path = record_path(dir, name);
        std::fs::remove_file(&path).map_err(|source| MirrorError::Record { path, source })
    }

    /// The names of all projects that have a record, sorted.
    pub(crate) fn names(dir: &Path) -> Result<Vec<ProjectName>, MirrorError> {
        let path = records_dir(dir);
        let error = |source| MirrorError::Record { path: path.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(error)? {
            let file_name = entry.map_err(error)?.file_name();
            let stem = file_name.to_str().and_then(|name| name.strip_suffix(".json"));
            names.extend(stem.and_then(|stem| ProjectName::new(stem).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// The URL it was added with.
    pub(crate) fn url(&self, dir: &Path) -> Result<SourceUrl, MirrorError> {
        SourceUrl::new(self.url.clone())
            .map_err(|_| MirrorError::BadRecord { path: record_path(dir, &self.name) })
    }
}

impl Snapshot {
    pub(crate) fn new(record: Record, url: SourceUrl) -> Self {
        Self { record, url, described: Memo::default(), reachable: Memo::default() }
    }

    pub(crate) fn refs_of(&self, kind: RefKind) -> impl Iterator<Item = &StoredRef> {
        self.record.refs.iter().filter(move |entry| entry.kind == kind)
    }

    pub(crate) fn find(&self, kind: RefKind, name: &str) -> Option<&StoredRef> {
        self.refs_of(kind).find(|entry| entry.name == name)
    }

    pub(crate) fn counted(&self) -> &Counted {
        self.record.counted.as_ref().unwrap_or(&NOTHING)
    }

    pub(crate) fn shown(&self) -> ProjectRecord {
        let counted = self.counted();
        ProjectRecord {
            name: self.record.name.clone(),
            url: self.url.clone(),
            synced_at: self.record.synced_at,
            object_count: counted.at_most,
            abbrev_digits: counted.digits(),
        }
    }
}

pub(crate) fn records_dir(dir: &Path) -> PathBuf {
    dir.join("kbs")
}

pub(crate) fn record_path(dir: &Path, name: &ProjectName) -> PathBuf {
    records_dir(dir).join(format!("{name}.json"))
}
