//! Fetching: the only time the network, or another repository, is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};
use kbs_plan::path::RelPath;

use crate::count;
use crate::git::{self, GitFailure, Prune};
use crate::lock::{StoreLock, sweep};
use crate::mirror::{Mirror, MirrorError, refs_error};
use crate::project::ProjectName;
use crate::record::{Record, RefKind, StoredRef};
use crate::refs::{self, Head};
use crate::url::{SourceUrl, UrlError};

/// Packs that may lie side by side before they are joined.
const PACKS_MAX: usize = 12;

/// What a sync changed, in names as [`crate::RefEntry`] shows them, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// Refs that are new.
    pub added: Vec<String>,
    /// Refs that name another commit than before.
    pub updated: Vec<String>,
    /// Refs that the remote no longer has.
    pub removed: Vec<String>,
}

impl Synced {
    /// Whether the project is as it was before.
    pub fn is_empty(&self) -> bool {
        let Self { added, updated, removed } = self;
        added.is_empty() && updated.is_empty() && removed.is_empty()
    }
}

/// Whether a project has moved on since its last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// Only the network could tell, or the local repository cannot be read.
    Unknown,
    /// Its branches, tags and HEAD are those of the last sync.
    Fresh,
    /// They are not: a sync would change something.
    Stale,
}

/// A project could not be synced; it is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The source store, or the project's record in it.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The path holds no repository.
    #[error("cannot sync `{project}`: {} is not a git repository", path.display())]
    NotARepository {
        /// The project.
        project: ProjectName,
        /// Its path.
        path: PathBuf,
    },
    /// The source has only the newest part of its history.
    #[error("cannot sync `{project}`: {url} is a shallow clone, without its older commits")]
    Shallow {
        /// The project.
        project: ProjectName,
        /// Where it is.
        url: SourceUrl,
    },
    /// `git fetch` failed.
    #[error("cannot fetch `{project}` from {url}")]
    Fetch {
        /// The project.
        project: ProjectName,
        /// From where.
        url: SourceUrl,
        /// What git said.
        source: GitFailure,
    },
    /// The fetched objects could not be counted or packed.
    #[error("cannot tidy the source store {}", path.display())]
    Tidy {
        /// The store.
        path: PathBuf,
        /// What git said.
        source: GitFailure,
    },
    /// The place a submodule is to be fetched from cannot be used.
    #[error("cannot fetch the submodule at `{path}` of `{project}`")]
    SubmoduleUrl {
        /// The project.
        project: ProjectName,
        /// The submodule's path in it.
        path: RelPath,
        /// Why its URL cannot be used.
        source: UrlError,
    },
    /// The commit of a submodule could not be fetched.
    #[error("cannot fetch the submodule at `{path}` of `{project}`, commit {commit}, from {url}")]
    Submodule {
        /// The project.
        project: ProjectName,
        /// The submodule's path in it.
        path: RelPath,
        /// The commit that is missing.
        commit: crate::CommitId,
        /// From where.
        url: Box<SourceUrl>,
        /// What git said; `None` where it fetched everything and the commit was not in it.
        source: Option<Box<GitFailure>>,
    },
    /// Submodules within submodules, or more of them than anyone means.
    #[error("cannot fetch the submodules of `{project}`: more than {limit} {of}")]
    TooManySubmodules {
        /// The project.
        project: ProjectName,
        /// How many are allowed.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
    /// The commit, or a tree of it, cannot be read.
    #[error(transparent)]
    Read(#[from] crate::ReadError),
}

impl Help for SyncError {
    fn class(&self) -> Class {
        match self {
            Self::Mirror(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::NotARepository { .. }
            | Self::Shallow { .. }
            | Self::SubmoduleUrl { .. }
            | Self::TooManySubmodules { .. } => Class::User,
            Self::Fetch { .. } | Self::Submodule { .. } | Self::Tidy { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Mirror(error) => error.help(),
            Self::Read(error) => error.help(),
            Self::NotARepository { .. } => {
                Some("name the directory that holds `.git`, or a bare repository".to_owned())
            }
            Self::Shallow { .. } => Some("run `git fetch --unshallow` there".to_owned()),
            Self::Fetch { source, .. } if source.is_missing() => {
                Some("install git on this machine".to_owned())
            }
            Self::Fetch { url, .. } if url.local_path().is_none() => Some(
                "check the address, the network, and the access rights of this user".to_owned(),
            ),
            Self::SubmoduleUrl { source, .. } => source.help(),
            Self::Submodule { .. } => Some(
                "make that commit available there, or correct `.gitmodules` in the project"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl Mirror {
    /// Fetches the project's branches, tags and HEAD, and makes them what the remote has.
    ///
    /// `progress` gets git's lines as they come. Waits for another sync of the same store to end.
    /// Readers see the project as before until all of it is there; nothing is lost when this is
    /// killed.
    ///
    /// # Errors
    /// [`SyncError`]; the project is as it was before.
    pub fn sync(
        &self,
        project: &ProjectName,
        now_unix_s: i64,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Synced, SyncError> {
        self.snapshot(project)?;
        let lock = self.lock(|| progress("waiting for another sync to end"))?;
        let mut record = Record::read(self.dir(), project)?
            .ok_or_else(|| MirrorError::NoProject { project: project.clone(), near: Vec::new() })?;
        let url = record.url(self.dir())?;
        if let Some(path) = url.local_path()
            && !looks_like_repository(path)
        {
            return Err(SyncError::NotARepository { project: project.clone(), path: path.into() });
        }
        let fetched = self.fetch(&lock, project, &url, progress);
        let head = fetched.inspect_err(|_| sweep(&lock, self.dir()))?;

        let repo = self.reopen()?;
        let refs_error = |error| refs_error(project, error);
        if head == Head::Absent {
            refs::delete_head(&repo, project).map_err(refs_error)?;
        }
        let refs = refs::read(&repo, project).map_err(refs_error)?;
        let synced = difference(&record.refs, &refs);
        record.synced_at = Some(now_unix_s);
        if synced.is_empty() && record.counted.is_some() {
            record.write(self.dir())?;
            return Ok(synced);
        }
        let tidy = |source| SyncError::Tidy { path: self.dir().to_owned(), source };
        git::chore(&lock, self.dir(), &["pack-refs", "--all"]).map_err(tidy)?;
        let (tips, tips_before) = (tips(&refs), tips(&record.refs));
        let known = record.counted.as_ref().map(|counted| (counted, tips_before.as_slice()));
        let counted = count::count(&repo, self.dir(), &tips, known).map_err(tidy)?;
        (record.counted, record.refs) = (Some(counted), refs);
        record.write(self.dir())?;
        if packs(self.dir()) > PACKS_MAX {
            self.pack(&lock, &["--geometric=2"])?;
        }
        Ok(synced)
    }

    /// Whether a sync would change the project, as far as this machine can tell: for local
    /// repositories only, in about a millisecond.
    ///
    /// # Errors
    /// As [`Mirror::project`]. A local repository that cannot be read is [`Staleness::Unknown`].
    pub fn is_stale(&self, project: &ProjectName) -> Result<Staleness, MirrorError> {
        let snapshot = self.snapshot(project)?;
        let Some(path) = snapshot.url.local_path() else { return Ok(Staleness::Unknown) };
        let Some(theirs) = local_refs(path) else { return Ok(Staleness::Unknown) };
        let ours = snapshot.record.refs.iter();
        let ours = ours.map(|entry| ((entry.kind, entry.name.clone()), entry.target.to_git()));
        let same =
            snapshot.record.synced_at.is_some() && ours.collect::<BTreeMap<_, _>>() == theirs;
        Ok(if same { Staleness::Fresh } else { Staleness::Stale })
    }

    /// Joins all packs into one and drops what no project reaches any more.
    ///
    /// # Errors
    /// [`SyncError::Mirror`], [`SyncError::Tidy`]; nothing that is reachable was lost.
    pub fn compact(&self) -> Result<(), SyncError> {
        let lock = self.lock(|| {})?;
        let repo = self.reopen()?;
        for name in Record::names(self.dir())? {
            let Some(mut record) = Record::read(self.dir(), &name)? else { continue };
            let refs = refs::read(&repo, &name).map_err(|error| refs_error(&name, error))?;
            if record.synced_at.is_some() && record.refs != refs {
                // A sync was killed between fetching and recording. What the record still names
                // may be dropped now, so the record has to follow.
                let tips = tips(&refs);
                let counted = count::count(&repo, self.dir(), &tips, None)
                    .map_err(|source| SyncError::Tidy { path: self.dir().to_owned(), source })?;
                (record.counted, record.refs) = (Some(counted), refs);
                record.write(self.dir())?;
            }
        }
        self.pack(&lock, &["-a"])?;
        // The old one may name commits that are gone.
        let tidy = |source| SyncError::Tidy { path: self.dir().to_owned(), source };
        git::chore(&lock, self.dir(), &["commit-graph", "write", "--reachable"]).map_err(tidy)
    }

    fn pack(&self, lock: &StoreLock, how: &[&str]) -> Result<(), SyncError> {
        let tidy = |source| SyncError::Tidy { path: self.dir().to_owned(), source };
        let repack = [&["repack", "-d", "-l", "-q"], how].concat();
        git::chore(lock, self.dir(), &repack).map_err(tidy)?;
        self.reopen()?;
        Ok(())
    }

    fn fetch(
        &self,
        lock: &StoreLock,
        project: &ProjectName,
        url: &SourceUrl,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Head, SyncError> {
        let mut shallow = false;
        let mut fetch = |head| {
            let specs = refs::refspecs(project, head);
            let mut watched = |line: &str| {
                // Of a shallow source git leaves refs out and calls that a success.
                shallow |= line.contains("shallow roots are not allowed");
                progress(line);
            };
            git::fetch(lock, self.dir(), url, (&specs, Prune::Yes), &mut watched)
        };
        let (head, fetched) = match fetch(Head::Wanted) {
            Err(failure) if failure.says("couldn't find remote ref HEAD") => {
                (Head::Absent, fetch(Head::Absent))
            }
            fetched => (Head::Wanted, fetched),
        };
        let (shown, from) = (project.clone(), url.clone());
        if shallow {
            return Err(SyncError::Shallow { project: shown, url: from });
        }
        fetched.map_err(|source| SyncError::Fetch { project: shown, url: from, source })?;
        Ok(head)
    }
}

/// Names of all objects that refs point at.
fn tips(refs: &[StoredRef]) -> Vec<String> {
    let mut tips: Vec<String> = refs.iter().map(|entry| entry.target.to_string()).collect();
    tips.sort_unstable();
    tips.dedup();
    tips
}

fn difference(before: &[StoredRef], after: &[StoredRef]) -> Synced {
    let targets = |refs: &[StoredRef]| -> BTreeMap<(RefKind, String), _> {
        refs.iter().map(|entry| ((entry.kind, entry.name.clone()), entry.target)).collect()
    };
    let (before, after) = (targets(before), targets(after));
    let mut synced = Synced::default();
    for ((kind, name), target) in &after {
        match before.get(&(*kind, name.clone())) {
            None => synced.added.push(name.clone()),
            Some(old) if old != target => synced.updated.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = before.into_keys().filter(|key| !after.contains_key(key));
    synced.removed.extend(gone.map(|(_, name)| name));
    for names in [&mut synced.added, &mut synced.updated, &mut synced.removed] {
        names.sort();
    }
    synced
}

/// Whether git would find a repository exactly there.
fn looks_like_repository(path: &Path) -> bool {
    let bare = |dir: &Path| dir.join("HEAD").is_file() && dir.join("objects").is_dir();
    // `.git` may be a file that leads elsewhere: a linked worktree, a submodule.
    bare(path) || bare(&path.join(".git")) || path.join(".git").is_file() || path.is_file()
}

/// Branches, tags and HEAD of a repository of this machine, in the form of a project's refs.
fn local_refs(path: &Path) -> Option<BTreeMap<(RefKind, String), gix::ObjectId>> {
    let options = gix::open::Options::isolated().with(gix::sec::Trust::Full);
    let repo = options.open(path).ok()?.to_thread_local();
    let mut found = BTreeMap::new();
    for (prefix, kind) in [("refs/heads/", RefKind::Branch), ("refs/tags/", RefKind::Tag)] {
        for (name, id) in refs::list(&repo, prefix).ok()? {
            let taken = name.split('/').next() == Some(refs::REMOTE_HEAD);
            if !(kind == RefKind::Branch && taken) {
                found.insert((kind, name), id);
            }
        }
    }
    if let Some(head) = repo.head().ok().and_then(|head| head.id().map(gix::Id::detach)) {
        found.insert((RefKind::Head, "HEAD".to_owned()), head);
    }
    Some(found)
}

fn packs(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir.join("objects/pack")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ext| ext == "pack")).count()
}
