//! `--out`: the files of an output, copied into a directory.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use kbs_plan::path::RelPath;

use super::fetch::{Entry, Fetched};
use super::{DeliverError, on};

/// Moves the entries of `fetched` into `dir`; each file appears whole, and replaces one of its name.
///
/// `fetched` must be on the file system of `dir`.
///
/// # Errors
/// [`DeliverError`]; entries before the one that failed have been replaced.
pub(crate) fn copy(fetched: &Fetched, dir: &Path) -> Result<(), DeliverError> {
    for (path, entry) in &fetched.entries {
        make_parents(path, dir)?;
        let target = dir.join(path.as_path());
        match entry {
            Entry::File { .. } => {
                std::fs::rename(fetched.place(path), &target).map_err(on("write", &target))?;
            }
            Entry::Link { target: points_to } => {
                let temporary = tempfile::Builder::new()
                    .prefix(".kbs-")
                    .make_in(dir, |path| symlink(points_to, path))
                    .map_err(on("write", &target))?;
                let persisted = temporary.into_temp_path().persist(&target);
                persisted.map_err(|error| on("write", &target)(error.error))?;
            }
        }
    }
    Ok(())
}

/// Makes the directories above `path`, and follows no link that stands for one.
fn make_parents(path: &RelPath, dir: &Path) -> Result<(), DeliverError> {
    let parents = std::iter::successors(path.parent(), RelPath::parent).collect::<Vec<_>>();
    for parent in parents.into_iter().rev() {
        let target = dir.join(parent.as_path());
        match std::fs::symlink_metadata(&target) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Err(DeliverError::NotADirectory { path: target }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::create_dir(&target).map_err(on("make", &target))?;
            }
            Err(error) => return Err(on("look at", &target)(error)),
        }
    }
    Ok(())
}
