//! The files of a commit as Kconfig files name them.

use std::collections::{BTreeMap, BTreeSet};

use kbs_kconfig::{FILE_MAX_B, FileFault, Files};
use kbs_source::{Item, ItemKind, Mirror};

use crate::problem::{EngineError, Problem};

/// Symbolic links that are followed on the way to one file, at most: as many as Linux follows.
const LINKS_MAX: usize = 40;

/// Selected files of a commit, as seen from the directory that commands run in.
pub(super) struct CommitFiles<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) items: &'a [Item],
    pub(super) dir: Option<&'a str>,
    /// Text of files that scripts would write, by path.
    pub(super) generated: &'a BTreeMap<String, String>,
}

impl CommitFiles<'_> {
    /// The bytes of a file, if there is one.
    pub(super) fn find(&self, path: &str) -> Result<Option<Vec<u8>>, Problem> {
        if let Some(text) = self.generated.get(path) {
            return Ok(Some(text.clone().into_bytes()));
        }
        let path = self.resolve(path)?;
        let Some(ItemKind::File { oid, .. }) = self.item(&path) else { return Ok(None) };
        let size_b = self.mirror.size_b(*oid)?;
        if size_b > FILE_MAX_B as u64 {
            return refused(format!("{path} has {size_b} bytes, more than any Kconfig file"));
        }
        Ok(Some(self.mirror.read(*oid)?))
    }

    /// Where `path` leads from the root of the commit, symbolic links followed: never outside.
    fn resolve(&self, path: &str) -> Result<String, Problem> {
        let mut open: Vec<&str> = path.split('/').rev().collect();
        open.extend(self.dir.iter().flat_map(|dir| dir.split('/').rev()));
        let mut way: Vec<&str> = Vec::new();
        let mut links = 0;
        while let Some(part) = open.pop() {
            match part {
                "" | "." => continue,
                ".." => {
                    if way.pop().is_none() {
                        return refused(format!("{path} leads outside of the commit"));
                    }
                    continue;
                }
                part => way.push(part),
            }
            let Some(ItemKind::Symlink { target }) = self.item(&way.join("/")) else { continue };
            links += 1;
            if links > LINKS_MAX {
                return refused(format!("{path} leads through too many symbolic links"));
            }
            if target.starts_with('/') {
                let link = way.join("/");
                return refused(format!("the symbolic link {link} leads outside of the commit"));
            }
            way.pop();
            open.extend(target.split('/').rev());
        }
        Ok(way.join("/"))
    }

    fn item(&self, path: &str) -> Option<&ItemKind> {
        let at = self.items.binary_search_by(|item| item.path.as_str().cmp(path)).ok()?;
        Some(&self.items[at].kind)
    }
}

fn refused<T>(text: String) -> Result<T, Problem> {
    Err(EngineError::Request { text, help: None }.into())
}

impl Files for CommitFiles<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        Ok(self.find(path)?)
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let first = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
        let below = |dir: &str| if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let (made, kept) = (below(dir), below(&self.resolve(dir)?));
        let start = self.items.partition_point(|item| item.path.as_str() < kept.as_str());
        let kept =
            self.items[start..].iter().map_while(|item| item.path.as_str().strip_prefix(&kept));
        let made = self.generated.keys().filter_map(|path| path.strip_prefix(&made));
        let names: BTreeSet<String> = kept.chain(made).map(first).collect();
        Ok(names.into_iter().collect())
    }
}
