//! Files that the menu reads and writes.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// No configuration is larger.
const TEXT_MAX_B: u64 = 16 << 20;

/// What becomes of the file that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// It stays beside the new one as `FILE.old`, as the projects' tools leave it.
    KeepsOld,
    /// It is gone.
    Replaces,
}

impl Disk {
    /// Reads a configuration; `None` if there is no such file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn find(path: &Path) -> Result<Option<String>, std::io::Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = String::new();
        let read_b = file.take(TEXT_MAX_B + 1).read_to_string(&mut text)?;
        if read_b as u64 > TEXT_MAX_B {
            return Err(std::io::Error::new(ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
        }
        Ok(Some(text))
    }

    /// Reads a configuration that has to be there.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn read(path: &Path) -> Result<String, std::io::Error> {
        Self::find(path)?.ok_or_else(|| std::io::Error::new(ErrorKind::NotFound, "there is none"))
    }

    /// Writes `text` so that the file is at every instant the old or the new one, whole. A link
    /// stays a link, and the permissions stay what they are. A file that has the text already is
    /// not touched.
    ///
    /// # Errors
    /// Why it cannot be written; the file is what it was.
    pub(crate) fn write(self, path: &Path, text: &str) -> Result<(), std::io::Error> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let parent = target.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new("."));
        let before = std::fs::metadata(&target).ok();
        if before.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if before.is_some() && Self::find(&target).ok().flatten().as_deref() == Some(text) {
            return Ok(());
        }
        // What is new gets what the umask leaves of this.
        let mode = before.as_ref().map_or(0o666, |known| known.permissions().mode() & 0o7777);
        let mut file = tempfile::Builder::new()
            .prefix(".kbs-")
            .permissions(std::fs::Permissions::from_mode(mode))
            .tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        if before.is_some() {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        file.as_file().sync_all()?;
        if self == Self::KeepsOld && before.is_some() {
            std::fs::copy(&target, beside(&target, ".old"))?;
        }
        file.persist(&target).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    }
}

/// The path of a file named after `path`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join(".config"), dir.path().join("link"));
        Disk::KeepsOld.write(&path, "A=1\n").unwrap();
        assert!(!beside(&path, ".old").exists());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Disk::KeepsOld.write(&link, "A=2\n").unwrap();
        assert!(link.is_symlink());
        assert_eq!(Disk::read(&path).unwrap(), "A=2\n");
        assert_eq!(Disk::read(&beside(&path, ".old")).unwrap(), "A=1\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3, "nothing is left behind");
    }

    #[test]
    fn what_cannot_be_written_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Disk::Replaces.write(&dir.path().join("none/x"), "").is_err());
        assert!(Disk::Replaces.write(dir.path(), "").is_err());
        let same = dir.path().join("same");
        Disk::Replaces.write(&same, "x").unwrap();
        let before = std::fs::metadata(&same).unwrap().modified().unwrap();
        Disk::KeepsOld.write(&same, "x").unwrap();
        assert_eq!(std::fs::metadata(&same).unwrap().modified().unwrap(), before);
        assert!(Disk::find(&dir.path().join("none")).unwrap().is_none());
    }
}
