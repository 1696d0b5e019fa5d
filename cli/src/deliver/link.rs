//! `--out-link`: a symbolic link to the output, replaced atomically.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{DeliverError, on, parent};

/// Checks that a link can be put at `link`, before anything is built.
///
/// # Errors
/// [`DeliverError`].
pub(crate) fn check(link: &Path) -> Result<(), DeliverError> {
    match std::fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => Ok(()),
        Ok(_) => Err(DeliverError::NotALink { path: link.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(on("look at", link)(error)),
    }
}

/// Makes `link` point to `output`, in one step; only a link is ever replaced.
///
/// # Errors
/// [`DeliverError`]; what was there is unchanged.
pub(crate) fn make(link: &Path, output: &Path) -> Result<(), DeliverError> {
    check(link)?;
    let temporary = tempfile::Builder::new()
        .prefix(".kbs-")
        .make_in(parent(link), |path| symlink(output, path))
        .map_err(on("make the link", link))?;
    match temporary.into_temp_path().persist(link) {
        Ok(()) => Ok(()),
        // Renaming a link over a directory that came in between is refused by the kernel.
        Err(error) => Err(on("make the link", link)(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_replaces_a_link_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("result");
        make(&link, Path::new("/one")).unwrap();
        make(&link, Path::new("/two")).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("/two"));
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 1, "nothing temporary is left");

        for (path, is_dir) in [(dir.path().join("file"), false), (dir.path().join("dir"), true)] {
            if is_dir {
                std::fs::create_dir(&path).unwrap();
            } else {
                std::fs::write(&path, "precious").unwrap();
            }
            let refused = make(&path, Path::new("/two"));
            assert!(matches!(refused, Err(DeliverError::NotALink { .. })), "{refused:?}");
            assert!(!path.is_symlink());
        }
    }
}
