//! The files beneath one directory, and none outside it.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read as _};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use kbs_kconfig::{FILE_MAX_B, FileFault, Files};
use rustix::fs::OFlags;

/// The files beneath a directory; links that leave it are refused.
pub(super) struct TreeFiles {
    pub(super) dir: Dir,
    /// Text of files that scripts would write, by path.
    pub(super) generated: BTreeMap<String, String>,
}

impl Files for TreeFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        if let Some(text) = self.generated.get(path) {
            return Ok(Some(text.clone().into_bytes()));
        }
        // A pipe must not be waited for.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = match self.dir.open_with(path, OpenOptions::new().read(true).custom_flags(flags))
        {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(Error::other("it is no regular file").into());
        }
        let mut content = Vec::new();
        file.take(FILE_MAX_B as u64 + 1).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let mut names: Vec<String> = Vec::new();
        match self.dir.read_dir(if dir.is_empty() { "." } else { dir }) {
            Ok(entries) => {
                for entry in entries {
                    // What is no UTF-8 cannot be named by a Kconfig file either.
                    names.extend(entry?.file_name().into_string());
                }
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let made = self.generated.keys().filter_map(|path| path.strip_prefix(&below));
        names.extend(made.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()));
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    #[test]
    fn files_outside_are_not_read_whatever_leads_there() {
        let around = tempfile::tempdir().unwrap();
        let tree = around.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(around.path().join("secret"), "secret").unwrap();
        std::fs::write(tree.join("own"), "own").unwrap();
        std::os::unix::fs::symlink("../secret", tree.join("out")).unwrap();
        std::os::unix::fs::symlink("..", tree.join("up")).unwrap();
        std::os::unix::fs::symlink("own", tree.join("in")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.join("pipe"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let dir = Dir::open_ambient_dir(&tree, ambient_authority()).unwrap();
        let generated = BTreeMap::from([("made/Kconfig".to_owned(), "made".to_owned())]);
        let files = TreeFiles { dir, generated };
        let text = |path| files.read(path).map(|content| content.map(String::from_utf8));
        assert_eq!(text("own").unwrap(), Some(Ok("own".into())));
        assert_eq!(text("in").unwrap(), Some(Ok("own".into())));
        assert_eq!(text("made/Kconfig").unwrap(), Some(Ok("made".into())));
        assert_eq!(text("absent").unwrap(), None);
        assert_eq!(text("own/below").unwrap(), None);
        for path in ["out", "up/secret", "pipe"] {
            assert!(files.read(path).is_err(), "{path}");
        }
        assert!(files.names("up").is_err());
        assert_eq!(files.names("").unwrap(), ["in", "made", "out", "own", "pipe", "up"]);
        assert_eq!(files.names("made").unwrap(), ["Kconfig"]);
    }
}
