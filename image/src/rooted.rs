//! Paths as a process sees them whose root is some directory.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;

/// A directory taken as the root: absolute links and `..` stay inside it.
#[derive(Debug)]
pub(crate) struct Rooted {
    root: PathBuf,
    dirs: BTreeMap<String, Resolved>,
}

/// Where a path leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The path without a link in it, relative to the root; empty for the root itself.
    pub(crate) path: String,
    /// The links on the way, each with its target, in the order they were met.
    pub(crate) links: Vec<(String, String)>,
}

impl Rooted {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), dirs: BTreeMap::new() }
    }

    /// The path outside, for a path without links such as [`Resolved::path`].
    pub(crate) fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Follows `path` to its end, last component included.
    pub(crate) fn resolve(&self, path: &str) -> io::Result<Resolved> {
        let mut found = Resolved::default();
        let mut rest: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        while let Some(name) = rest.pop_front() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    found.path.truncate(found.path.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = below(&found.path, &name);
            let full = self.full(&next);
            if !full.symlink_metadata()?.is_symlink() {
                found.path = next;
                continue;
            }
            if found.links.len() == LINKS_MAX {
                return Err(io::Error::other("too many symbolic links"));
            }
            let target = read_link(&full)?;
            if target.starts_with('/') {
                found.path.clear();
            }
            for name in target.split('/').rev() {
                rest.push_front(name.to_owned());
            }
            found.links.push((next, target));
        }
        Ok(found)
    }

    /// Follows all of `path` but its last component, which may be missing or a link.
    pub(crate) fn locate(&mut self, path: &str) -> io::Result<Resolved> {
        let (dir, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        if !self.dirs.contains_key(dir) {
            let resolved = self.resolve(dir)?;
            self.dirs.insert(dir.to_owned(), resolved);
        }
        let Resolved { path: dir, links } = &self.dirs[dir];
        Ok(Resolved { path: below(dir, name), links: links.clone() })
    }
}

fn below(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// The target of a link, as text.
pub(crate) fn read_link(path: &Path) -> io::Result<String> {
    let target = fs::read_link(path)?;
    let text = target.into_os_string().into_string();
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the link's target is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside_and_are_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::write(dir.path().join("usr/bin/dash"), "").unwrap();
        symlink("dash", dir.path().join("usr/bin/sh")).unwrap();
        symlink("/usr/bin", dir.path().join("bin")).unwrap();
        symlink("../../../../usr/bin/sh", dir.path().join("usr/up")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let mut root = Rooted::new(dir.path());

        let found = root.resolve("/bin/sh").unwrap();
        assert_eq!(found.path, "usr/bin/dash");
        let links: Vec<_> = found.links.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(links, ["bin", "usr/bin/sh"]);
        assert_eq!(root.resolve("/usr/up").unwrap().path, "usr/bin/dash");
        assert_eq!(root.locate("/bin/sh").unwrap().path, "usr/bin/sh");
        assert_eq!(root.resolve("/").unwrap().path, "");
        assert!(root.resolve("/loop").is_err());
        assert!(root.resolve("/nowhere/x").is_err());
    }
}
