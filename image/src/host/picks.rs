//! The paths of the host that an image will hold.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;

use kbs_plan::path::RelPath;

use super::HostError;
use crate::rooted::{Resolved, Rooted, read_link};

/// Where programs, headers and libraries are. What packages have elsewhere is configuration,
/// which people edit, or state.
const TAKEN: [&str; 8] = ["bin", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr"];
/// Below `usr/share`: what no build reads, and differs with the host's language.
const UNREAD: [&str; 14] = [
    "applications",
    "bash-completion",
    "bug",
    "doc",
    "doc-base",
    "icons",
    "info",
    "lintian",
    "locale",
    "man",
    "menu",
    "pixmaps",
    "zsh",
    "fish",
];
/// The directories that make `/usr` hold what `/bin` names, where the host is arranged so.
const MERGED: [&str; 3] = ["bin", "lib", "sbin"];

/// What becomes of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pick {
    /// A directory.
    Directory,
    /// A symbolic link, as written.
    Symlink(String),
    /// A copy of the host's file.
    File,
    /// A file of our own.
    Text(&'static str),
}

/// The paths picked so far, and the host that they are on.
#[derive(Debug)]
pub(super) struct Picks {
    pub(super) host: Rooted,
    pub(super) paths: BTreeMap<RelPath, Pick>,
}

impl Picks {
    pub(super) fn new(host: Rooted) -> Self {
        Self { host, paths: BTreeMap::new() }
    }

    /// Picks what stands at the absolute `path`, and every link on the way to it.
    ///
    /// Passes over what is missing, what not everybody may read, and what no build reads.
    pub(super) fn add(&mut self, path: &str) -> Result<(), HostError> {
        if matches!(path, "" | "/" | "/.") {
            return Ok(());
        }
        let found = match self.host.locate(path) {
            Err(error) if is_missing(&error) => return Ok(()),
            found => found.map_err(|source| failed(path, source))?,
        };
        if is_taken(&found.path) { self.add_found(&found) } else { Ok(()) }
    }

    /// Picks a file that must be there, with every link that leads to it.
    pub(super) fn add_chain(&mut self, found: &Resolved) -> Result<(), HostError> {
        self.add_links(&found.links)?;
        self.put(&found.path, Pick::File)
    }

    /// Picks a link that need not be the host's.
    pub(super) fn add_link(&mut self, path: &str, target: &str) -> Result<(), HostError> {
        self.put(path, Pick::Symlink(target.to_owned()))
    }

    /// Whether what stands at the absolute `path` is picked.
    pub(super) fn holds(&mut self, path: &str) -> bool {
        let found = self.host.locate(path).ok();
        found
            .and_then(|found| RelPath::new(found.path).ok())
            .is_some_and(|path| self.paths.contains_key(&path))
    }

    /// Adds what every image has: mount points, the users, and the links of a merged `/usr`.
    pub(super) fn add_skeleton(&mut self) -> Result<(), HostError> {
        for name in MERGED {
            if let Ok(target) = read_link(&self.host.full(name)) {
                self.add_link(name, &target)?;
            }
        }
        for dir in ["build", "dev", "proc", "run", "sys", "tmp", "usr/bin", "var/tmp"] {
            self.put(dir, Pick::Directory)?;
        }
        for (path, text) in ETC {
            self.put(path, Pick::Text(text))?;
        }
        Ok(())
    }

    fn add_found(&mut self, found: &Resolved) -> Result<(), HostError> {
        self.add_links(&found.links)?;
        let full = self.host.full(&found.path);
        let about = match full.symlink_metadata() {
            Err(error) if is_missing(&error) => return Ok(()),
            about => about.map_err(|source| failed(&found.path, source))?,
        };
        let pick = if about.is_dir() {
            Pick::Directory
        } else if about.is_symlink() {
            Pick::Symlink(read_link(&full).map_err(|source| failed(&found.path, source))?)
        } else if about.is_file() && about.permissions().mode() & 0o004 != 0 {
            Pick::File
        } else {
            return Ok(());
        };
        self.put(&found.path, pick)
    }

    fn add_links(&mut self, links: &[(String, String)]) -> Result<(), HostError> {
        links.iter().try_for_each(|(path, target)| self.add_link(path, target))
    }

    fn put(&mut self, path: &str, pick: Pick) -> Result<(), HostError> {
        let path = RelPath::new(path)?;
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| !self.paths.contains_key(dir)) {
            above = dir.parent();
            self.paths.insert(dir, Pick::Directory);
        }
        self.paths.entry(path).or_insert(pick);
        Ok(())
    }
}

/// The user that builds run as, and what makes the C library find it.
const ETC: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         kbs:x:1000:1000:kbs:/build/home:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nkbs:x:1000:\nnogroup:x:65534:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];

fn is_taken(path: &str) -> bool {
    let (top, _) = path.split_once('/').unwrap_or((path, ""));
    let unread = path.strip_prefix("usr/share/").is_some_and(|rest| {
        let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
        UNREAD.contains(&name)
    });
    TAKEN.contains(&top) && !unread
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn failed(path: &str, source: io::Error) -> HostError {
    HostError::File { path: path.trim_start_matches('/').to_owned(), source }
}
