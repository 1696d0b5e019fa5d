//! One writer at a time, and what a killed one left behind.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::Stdio;

use crate::record::records_dir;

/// The right to change the repository, until it is dropped.
#[derive(Debug)]
pub(crate) struct StoreLock {
    file: File,
}

impl StoreLock {
    /// Waits until no other process or thread holds it, then removes what a killed one left.
    pub(crate) fn take(dir: &Path, waiting: impl FnOnce()) -> std::io::Result<Self> {
        let path = records_dir(dir).join("lock");
        let file =
            File::options().create(true).truncate(false).write(true).read(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        remove_leftovers(dir)?;
        Ok(Self { file })
    }

    /// The lock as a child's standard input.
    ///
    /// The child then holds it too: if we are killed, nobody takes the git that still runs for a
    /// dead one and removes its files.
    pub(crate) fn as_stdin(&self) -> std::io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }
}

/// Removes what a git that failed has left: a full disk is not to stay full.
pub(crate) fn sweep(_held: &StoreLock, dir: &Path) {
    if let Err(error) = remove_leftovers(dir) {
        tracing::warn!(%error, path = %dir.display(), "cannot remove what a fetch left");
    }
}

/// Removes git's own lock files and unfinished packs: with the lock held, nobody works on them.
fn remove_leftovers(dir: &Path) -> std::io::Result<()> {
    let locked = |name: &str| name.strip_suffix(".lock").is_some();
    let unfinished = |name: &str| {
        locked(name)
            || name.starts_with("tmp_")
            || name.starts_with(".tmp-")
            || name.starts_with("incoming-")
    };
    remove_matching(dir, Below::Stay, &locked)?;
    remove_matching(&dir.join("refs"), Below::Descend, &locked)?;
    remove_matching(&dir.join("objects"), Below::Stay, &unfinished)?;
    remove_matching(&dir.join("objects/pack"), Below::Stay, &unfinished)?;
    remove_matching(&dir.join("objects/info"), Below::Descend, &unfinished)
}

/// Whether directories are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Stay,
    Descend,
}

fn remove_matching(
    dir: &Path,
    below: Below,
    matches: &dyn Fn(&str) -> bool,
) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (path, is_dir) = (entry.path(), entry.file_type()?.is_dir());
        if entry.file_name().to_str().is_some_and(matches) {
            tracing::info!(path = %path.display(), "removing what an interrupted sync left");
            if is_dir {
                std::fs::remove_dir_all(&path)?;
            } else {
                std::fs::remove_file(&path)?;
            }
        } else if is_dir && below == Below::Descend {
            remove_matching(&path, below, matches)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_that_outlives_us_keeps_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(records_dir(dir.path())).unwrap();
        let lock = StoreLock::take(dir.path(), || {}).unwrap();
        let mut child =
            Command::new("sleep").arg("600").stdin(lock.as_stdin().unwrap()).spawn().unwrap();
        drop(lock);
        let file = File::open(records_dir(dir.path()).join("lock")).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        child.kill().unwrap();
        child.wait().unwrap();
        file.try_lock().unwrap();
    }
}
