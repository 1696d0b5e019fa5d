//! The source store: one bare repository, and the projects in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use kbs_plan::error::{Class, Help};

use crate::lock::StoreLock;
use crate::objects::{self, BoxError, ReadError};
use crate::oid::{BlobOid, CommitId};
use crate::project::ProjectName;
use crate::record::{ProjectRecord, Record, RefEntry, Snapshot, record_path, records_dir};
use crate::refs::{self, RefsError};
use crate::resolve::near;
use crate::url::SourceUrl;

/// The source store could not be opened, or a project's record not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The repository could not be made.
    #[error("cannot make a source store at {}", path.display())]
    Create {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The repository could not be opened.
    #[error("cannot open the source store {}", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        source: BoxError,
    },
    /// The lock could not be taken, or what an interrupted sync left could not be removed.
    #[error("cannot lock the source store {}", path.display())]
    Lock {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A project's record could not be read or written.
    #[error("cannot read or write the project record {}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A project's record is not one, or from another version.
    #[error("the project record {} is damaged or from another version", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
    },
    /// No such project was added.
    #[error("no project `{project}` in the source store")]
    NoProject {
        /// The name asked for.
        project: ProjectName,
        /// Up to three similar names.
        near: Vec<String>,
    },
    /// The project was added and not yet fetched from where it is now.
    #[error("project `{project}` was never synced from {url}")]
    NeverSynced {
        /// Its name.
        project: ProjectName,
        /// Where it is.
        url: SourceUrl,
    },
    /// A project of that name comes from elsewhere.
    #[error("project `{project}` comes from {ours}, not from {theirs}")]
    OtherUrl {
        /// Its name.
        project: ProjectName,
        /// Where it comes from.
        ours: SourceUrl,
        /// What was asked for.
        theirs: SourceUrl,
    },
    /// The refs of a project could not be read or changed.
    #[error("cannot read or change the refs of project `{project}`")]
    Refs {
        /// Its name.
        project: ProjectName,
        /// Why.
        source: BoxError,
    },
}

impl Help for MirrorError {
    fn class(&self) -> Class {
        match self {
            Self::NoProject { .. } | Self::NeverSynced { .. } => Class::NotFound,
            Self::OtherUrl { .. } => Class::User,
            Self::Create { .. }
            | Self::Open { .. }
            | Self::Lock { .. }
            | Self::Record { .. }
            | Self::BadRecord { .. }
            | Self::Refs { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoProject { project, near } => Some(match near.first() {
                Some(name) => {
                    format!("did you mean `{name}`? Else run `kbs source add {project} URL`")
                }
                None => format!("run `kbs source add {project} URL`"),
            }),
            Self::NeverSynced { project, .. } => Some(format!("run `kbs source sync {project}`")),
            Self::OtherUrl { project, .. } => {
                Some(format!("run `kbs source rm {project}` first, or add it with `--replace`"))
            }
            Self::BadRecord { path } => {
                Some(format!("remove {}, then add the project and sync it again", path.display()))
            }
            _ => None,
        }
    }
}

/// What becomes of a project that has the name already and comes from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and adding is refused.
    Keep,
    /// It is fetched from the new place from now on.
    Replace,
}

/// The source store, open: every thread and process may read while one of them syncs.
#[derive(Debug)]
pub struct Mirror {
    dir: PathBuf,
    repo: RwLock<gix::ThreadSafeRepository>,
    snapshots: Mutex<BTreeMap<ProjectName, (Stamp, Arc<Snapshot>)>>,
}

/// Tells one version of a record file from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Mirror {
    /// Opens the bare repository at `dir`, an absolute path, and makes it if there is none.
    ///
    /// # Errors
    /// [`MirrorError::Create`], [`MirrorError::Open`].
    pub fn open_or_init(dir: &Path) -> Result<Self, MirrorError> {
        let create = |source| MirrorError::Create { path: dir.to_owned(), source };
        if !dir.join("HEAD").exists() {
            init(dir).map_err(create)?;
        }
        std::fs::create_dir_all(records_dir(dir)).map_err(create)?;
        let repo = RwLock::new(open(dir)?);
        Ok(Self { dir: dir.to_owned(), repo, snapshots: Mutex::default() })
    }

    /// Adds a project, not yet fetched; adding it again from the same place changes nothing.
    ///
    /// # Errors
    /// [`MirrorError::OtherUrl`] where the name is taken and `existing` says to keep it;
    /// [`MirrorError::Lock`], [`MirrorError::Record`].
    pub fn add(
        &self,
        project: &ProjectName,
        url: &SourceUrl,
        existing: Existing,
    ) -> Result<(), MirrorError> {
        let _lock = self.lock(|| {})?;
        let Some(record) = Record::read(&self.dir, project)? else {
            return Record::new(project.clone(), url).write(&self.dir);
        };
        let ours = record.url(&self.dir)?;
        match existing {
            _ if ours == *url => Ok(()),
            Existing::Keep => {
                let (project, theirs) = (project.clone(), url.clone());
                Err(MirrorError::OtherUrl { project, ours, theirs })
            }
            Existing::Replace => record.moved_to(url).write(&self.dir),
        }
    }

    /// Removes a project and its refs. Its objects stay until [`Mirror::compact`].
    ///
    /// # Errors
    /// [`MirrorError::NoProject`], [`MirrorError::Refs`], [`MirrorError::Record`].
    pub fn remove(&self, project: &ProjectName) -> Result<(), MirrorError> {
        let _lock = self.lock(|| {})?;
        if !record_path(&self.dir, project).exists() {
            return Err(self.no_project(project));
        }
        let repo = open(&self.dir)?.to_thread_local();
        refs::delete(&repo, project).map_err(|source| refs_error(project, source))?;
        Record::remove(&self.dir, project)
    }

    /// Every project, by name.
    ///
    /// # Errors
    /// [`MirrorError::Record`], [`MirrorError::BadRecord`].
    pub fn projects(&self) -> Result<Vec<ProjectRecord>, MirrorError> {
        let names = Record::names(&self.dir)?;
        names.iter().map(|name| Ok(self.snapshot(name)?.shown())).collect()
    }

    /// One project.
    ///
    /// # Errors
    /// [`MirrorError::NoProject`], [`MirrorError::Record`], [`MirrorError::BadRecord`].
    pub fn project(&self, project: &ProjectName) -> Result<ProjectRecord, MirrorError> {
        Ok(self.snapshot(project)?.shown())
    }

    /// The project's refs at its last sync: HEAD, branches, tags, each by name. Tags that name no
    /// commit are left out.
    ///
    /// # Errors
    /// As [`Mirror::project`].
    pub fn refs(&self, project: &ProjectName) -> Result<Vec<RefEntry>, MirrorError> {
        let snapshot = self.snapshot(project)?;
        let entry = |stored: &crate::record::StoredRef| {
            let (kind, name, target) = (stored.kind, stored.name.clone(), stored.target);
            stored.commit.map(|commit| RefEntry { kind, name, commit, target })
        };
        Ok(snapshot.record.refs.iter().filter_map(entry).collect())
    }

    /// The bytes of a file, or of a symbolic link's target, checked against their name.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read(&self, oid: BlobOid) -> Result<Vec<u8>, ReadError> {
        objects::blob(&self.repo(), oid)
    }

    /// How many bytes a file has, by what the store says of it: for deciding whether to read it.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn size_b(&self, oid: BlobOid) -> Result<u64, ReadError> {
        objects::size_b(&self.repo(), oid)
    }

    /// When the commit was committed, in seconds since 1970.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn commit_time(&self, commit: CommitId) -> Result<i64, ReadError> {
        Ok(objects::commit(&self.repo(), &commit.to_git())?.time_s)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn repo(&self) -> gix::Repository {
        self.repo.read().unwrap_or_else(PoisonError::into_inner).to_thread_local()
    }

    /// Sees what a fetch brought: refs without delay, and room for the new packs.
    pub(crate) fn reopen(&self) -> Result<gix::Repository, MirrorError> {
        let fresh = open(&self.dir)?;
        let repo = fresh.to_thread_local();
        *self.repo.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(repo)
    }

    pub(crate) fn lock(&self, waiting: impl FnOnce()) -> Result<StoreLock, MirrorError> {
        StoreLock::take(&self.dir, waiting)
            .map_err(|source| MirrorError::Lock { path: self.dir.clone(), source })
    }

    /// The project as its last sync left it, read again only when its record changed.
    pub(crate) fn snapshot(&self, project: &ProjectName) -> Result<Arc<Snapshot>, MirrorError> {
        let path = record_path(&self.dir, project);
        let stamp = match stamp(&path) {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return Err(self.no_project(project)),
            Err(source) => return Err(MirrorError::Record { path, source }),
        };
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, snapshot)) = snapshots.get(project)
            && *known == stamp
        {
            return Ok(Arc::clone(snapshot));
        }
        let record = Record::read(&self.dir, project)?.ok_or_else(|| self.no_project(project))?;
        let url = record.url(&self.dir)?;
        let snapshot = Arc::new(Snapshot::new(record, url));
        snapshots.insert(project.clone(), (stamp, Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// Like [`Mirror::snapshot`], and fetched at least once.
    pub(crate) fn synced(&self, project: &ProjectName) -> Result<Arc<Snapshot>, MirrorError> {
        let snapshot = self.snapshot(project)?;
        if snapshot.record.synced_at.is_none() {
            let (project, url) = (project.clone(), snapshot.url.clone());
            return Err(MirrorError::NeverSynced { project, url });
        }
        Ok(snapshot)
    }

    fn no_project(&self, project: &ProjectName) -> MirrorError {
        let names = Record::names(&self.dir).unwrap_or_default();
        let near = near(project.as_str(), names.iter().map(ProjectName::as_str));
        MirrorError::NoProject { project: project.clone(), near }
    }
}

pub(crate) fn refs_error(project: &ProjectName, source: RefsError) -> MirrorError {
    MirrorError::Refs { project: project.clone(), source: source.into() }
}

fn stamp(path: &Path) -> std::io::Result<Option<Stamp>> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(meta) => {
            let (inode, len, modified) = (meta.ino(), meta.len(), meta.modified().ok());
            Ok(Some(Stamp { inode, len, modified }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(dir: &Path) -> Result<gix::ThreadSafeRepository, MirrorError> {
    gix::open::Options::isolated()
        .open_path_as_is(true)
        // The operator named this directory: who owns it does not change how it is read.
        .with(gix::sec::Trust::Full)
        // Room for the packs that other processes add while this one has the store open.
        .object_store_slots(gix::odb::store::init::Slots::Given(256))
        .open(dir)
        .map_err(|source| MirrorError::Open { path: dir.to_owned(), source: source.into() })
}

/// Makes an empty bare repository beside `dir` and moves it there, so that a half-made one is
/// never opened.
fn init(dir: &Path) -> std::io::Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent)?;
    let made = tempfile::Builder::new().prefix(".git-").tempdir_in(parent)?;
    for below in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "kbs"] {
        std::fs::create_dir_all(made.path().join(below))?;
    }
    std::fs::write(made.path().join("HEAD"), "ref: refs/heads/main\n")?;
    std::fs::write(
        made.path().join("config"),
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\
         \tlogAllRefUpdates = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n",
    )?;
    match std::fs::rename(made.path(), dir) {
        Ok(()) => {
            // It moved: nothing is left to remove.
            let _moved = made.keep();
            Ok(())
        }
        // Another process was faster: its repository is as good as ours.
        Err(_) if dir.join("HEAD").exists() => Ok(()),
        Err(error) => Err(error),
    }
}
