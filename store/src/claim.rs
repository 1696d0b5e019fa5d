//! Takes possession of a state directory: whose it is, what is in it, and that nobody else is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbs_plan::error::{Class, Help};

use crate::error::StoreError;
use crate::layout::Layout;

/// Content of the marker file. Its number grows when the directories change their meaning.
const MARKER: &str = "kbs state directory, layout 1\n";

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be made or entered.
    #[error("cannot {action} the state directory {}", path.display())]
    Directory {
        /// What was tried.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing can be written to it.
    #[error("the state directory {} is not writable", path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It belongs to another user.
    #[error("the state directory {} belongs to uid {owner_uid}, not to uid {our_uid}", path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner_uid: u32,
        /// Who we are.
        our_uid: u32,
    },
    /// Others may enter it.
    #[error("the state directory {} is open to other users (mode {mode:04o})", path.display())]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("{} is neither empty nor a kbs state directory", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Another kbs made it.
    #[error("the state directory {} has another layout: `{found}`", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// First line of its marker.
        found: String,
    },
    /// Another process uses it.
    #[error("the state directory {} is in use{}", path.display(), by_process(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it has said so.
        pid: Option<u32>,
    },
    /// The database cannot be read.
    #[error("the database {} is damaged or not a database", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database cannot be opened, for a reason outside of it.
    #[error("cannot open the database {}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer kbs wrote the database.
    #[error("the database {} has schema {found}, this kbs knows up to {known}", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The index could not be made from the files.
    #[error("cannot make the index of the state directory {}", path.display())]
    Index {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: Box<StoreError>,
    },
}

fn by_process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl Help for OpenError {
    fn class(&self) -> Class {
        Class::Environment
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Directory { .. } => {
                "make the directory above it usable, or choose another state directory".to_owned()
            }
            Self::ReadOnly { path, .. } => format!(
                "make {} and the file system under it writable, or choose another state directory",
                path.display()
            ),
            Self::Owner { owner_uid, .. } => {
                format!("run kbs as uid {owner_uid}, or choose another state directory")
            }
            Self::Mode { path, .. } => format!("run `chmod 700 {}`", path.display()),
            Self::Foreign { .. } => {
                "choose a directory that is empty or does not exist yet".to_owned()
            }
            Self::Layout { .. } | Self::Schema { .. } => {
                "use the kbs that made it or a newer one, or choose another state directory"
                    .to_owned()
            }
            Self::InUse { pid: Some(pid), .. } => format!(
                "use that daemon, stop it with `kbs daemon stop` or by ending process {pid}, or choose \
                 another state directory"
            ),
            Self::InUse { pid: None, .. } => {
                "try again, or choose another state directory".to_owned()
            }
            Self::Damaged { .. } => {
                "run `kbs store rebuild-index`: everything is found again from its \
                 files"
                    .to_owned()
            }
            Self::Database { .. } => {
                "make sure that the disk is healthy and not full, then start again".to_owned()
            }
            Self::Index { source, .. } => return source.help(),
        })
    }
}

/// A state directory that is ours until the lock is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) layout: Layout,
    lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing the file would do, were it not for a process that another thread is starting:
        // until it executes its program, it has the file open too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(path = %self.layout.lock().display(), %error, "cannot unlock");
        }
    }
}

/// Makes or checks the directory, takes its lock, and makes what has to be in it.
pub(crate) fn claim(state: &Path) -> Result<Claim, OpenError> {
    let directory_error = |action| {
        move |source: io::Error| OpenError::Directory { action, path: state.to_owned(), source }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(directory_error("create"))?;
    let root = fs::canonicalize(state).map_err(directory_error("find"))?;
    check_owner_and_mode(&root)?;

    let layout = Layout::new(root);
    let unwritable =
        |source: io::Error| OpenError::ReadOnly { path: layout.root().to_owned(), source };
    if !layout.marker().try_exists().map_err(directory_error("read"))? {
        begin_marker(&layout)?;
    }
    // Once before anything is touched, and again under the lock.
    check_marker(&layout)?;
    let lock = take_lock(&layout)?;
    finish_marker(&layout)?;
    for dir in layout.directories() {
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unwritable(error));
            }
            _ => {}
        }
    }
    Ok(Claim { layout, lock })
}

fn check_owner_and_mode(root: &Path) -> Result<(), OpenError> {
    let path = root.to_owned();
    let found = match fs::metadata(root) {
        Ok(found) => found,
        Err(source) => return Err(OpenError::Directory { action: "inspect", path, source }),
    };
    let our_uid = rustix::process::geteuid().as_raw();
    if found.uid() != our_uid {
        return Err(OpenError::Owner { path, owner_uid: found.uid(), our_uid });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Mode { path, mode });
    }
    Ok(())
}

/// What a client leaves that starts a daemon in the background, before that one can look: its log,
/// and the lock by which one client at a time starts one.
const STARTERS: [&str; 2] = ["kbsd.log", "kbsd.start"];

/// Puts an empty marker into an empty directory: the first thing that is ever made there.
fn begin_marker(layout: &Layout) -> Result<(), OpenError> {
    let path = layout.root().to_owned();
    let is_empty = match fs::read_dir(&path) {
        Ok(entries) => {
            entries.flatten().all(|entry| STARTERS.iter().any(|name| entry.file_name() == *name))
        }
        Err(source) => return Err(OpenError::Directory { action: "read", path, source }),
    };
    // Another process may have begun since: then there is a marker, and the lock decides.
    if !is_empty && !layout.marker().exists() {
        return Err(OpenError::Foreign { path });
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(layout.marker()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::ReadOnly { path, source: error })
        }
        _ => Ok(()),
    }
}

#[derive(PartialEq, Eq)]
enum Marker {
    Whole,
    Begun,
}

/// Whether the marker is whole, or was only begun.
fn check_marker(layout: &Layout) -> Result<Marker, OpenError> {
    let path = layout.root().to_owned();
    let mut found = Vec::new();
    let read = File::open(layout.marker()).and_then(|file| file.take(4096).read_to_end(&mut found));
    if let Err(source) = read {
        return Err(OpenError::Directory { action: "read the marker of", path, source });
    }
    if found == MARKER.as_bytes() {
        return Ok(Marker::Whole);
    }
    if !MARKER.as_bytes().starts_with(&found) {
        let line = String::from_utf8_lossy(&found);
        let line = line.lines().next().unwrap_or_default().escape_debug().to_string();
        return Err(OpenError::Layout { path, found: line });
    }
    Ok(Marker::Begun)
}

/// Completes a marker that was begun. Called under the lock.
fn finish_marker(layout: &Layout) -> Result<(), OpenError> {
    if check_marker(layout)? == Marker::Whole {
        return Ok(());
    }
    let path = layout.root().to_owned();
    let write = || {
        let mut file = OpenOptions::new().write(true).truncate(true).open(layout.marker())?;
        file.write_all(MARKER.as_bytes())?;
        file.sync_all()?;
        File::open(layout.root())?.sync_all()
    };
    write().map_err(|source| OpenError::ReadOnly { path, source })
}

/// How often, and how far apart, a lock is tried for that a leaving daemon still holds: 5 s in all.
const LEAVING_STEPS: u32 = 250;
const LEAVING_STEP: Duration = Duration::from_millis(20);

fn take_lock(layout: &Layout) -> Result<File, OpenError> {
    let path = layout.root().to_owned();
    let unwritable = |source| OpenError::ReadOnly { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(layout.lock())
        .map_err(unwritable)?;
    let mut locked = file.try_lock();
    // A daemon that is leaving has taken its socket away before it lets go of the directory.
    for _ in 0..LEAVING_STEPS {
        if !matches!(locked, Err(TryLockError::WouldBlock)) || layout.socket().exists() {
            break;
        }
        std::thread::sleep(LEAVING_STEP);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Whoever holds the lock may not have written its pid yet.
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path, pid });
        }
        Err(TryLockError::Error(source)) => {
            return Err(OpenError::Directory { action: "lock", path, source });
        }
    }
    file.set_len(0).map_err(unwritable)?;
    writeln!(file, "{}", std::process::id()).map_err(unwritable)?;
    Ok(file)
}
