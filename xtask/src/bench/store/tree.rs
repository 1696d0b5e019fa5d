//! A source tree: generated, the same each time, or a real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_store::{Executable, SourceEntry, SourceKind};

use super::Bench;
use crate::{Failure, say};

/// Files of the generated tree.
const FILES: u64 = 2300;
/// Directories that they lie in.
const DIRS: u64 = 180;

/// A directory and a list of all that is in it.
pub(super) struct Tree {
    pub(super) dir: PathBuf,
    pub(super) entries: Vec<SourceEntry>,
    pub(super) size_b: u64,
}

impl Tree {
    /// The one that was asked for.
    pub(super) fn new(bench: &Bench) -> Result<Self, Failure> {
        let dir = bench.path("tree");
        if !dir.exists() {
            match &bench.tree {
                Some(from) => copy(from, &dir)?,
                None => generate(&dir)?,
            }
        }
        let mut tree = Self { dir, entries: Vec::new(), size_b: 0 };
        let top = tree.dir.clone();
        tree.list(&top)?;
        Ok(tree)
    }

    fn list(&mut self, below: &Path) -> Result<(), Failure> {
        for entry in std::fs::read_dir(below)? {
            let place = entry?.path();
            let facts = std::fs::symlink_metadata(&place)?;
            let path = place.strip_prefix(&self.dir)?.to_str().ok_or("a name is no text")?;
            let path = RelPath::new(path)?;
            let kind = if facts.is_dir() {
                self.list(&place)?;
                SourceKind::Directory
            } else if facts.is_symlink() {
                let target = std::fs::read_link(&place)?;
                SourceKind::Symlink { target: target.to_string_lossy().into_owned() }
            } else {
                self.size_b += facts.len();
                let may_run = facts.permissions().mode() & 0o111 != 0;
                let executable = if may_run { Executable::Yes } else { Executable::No };
                SourceKind::File { executable }
            };
            self.entries.push(SourceEntry { path, kind });
        }
        Ok(())
    }

    pub(super) fn name(&self) -> String {
        format!("{} MB in {} entries", self.size_b / 1_000_000, self.entries.len())
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut command = std::process::Command::new("cp");
    command.arg("-a").arg(from).arg(to);
    crate::bench::rounds::time("cp -a", command)?;
    super::remove(&to.join(".git"))
}

/// Sizes are those of a source tree: most files have some kilobytes, a few have most of the bytes.
fn generate(dir: &Path) -> Result<(), Failure> {
    say("generating a source tree");
    for number in 0..DIRS {
        std::fs::create_dir_all(dir.join(place(number)))?;
    }
    for number in 0..FILES {
        let size_b = match number {
            0..40 => 3_000_000 + 50_000 * number,
            40..400 => 60_000 + 400 * number,
            400..1000 => 20_000 + 20 * number,
            _ => 200 + 9 * (number * 7919 % 1300),
        };
        let name = format!("{}/file-{number}.c", place(number % DIRS));
        std::fs::write(dir.join(&name), bytes(&name, usize::try_from(size_b)?))?;
    }
    Ok(())
}

/// Three levels of directories.
fn place(number: u64) -> String {
    format!("dir-{}/dir-{}/dir-{number}", number % 6, number % 30)
}

/// Bytes that no other name has.
pub(super) fn bytes(name: &str, size_b: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_b + 64);
    let mut block = *BlobId::of(name.as_bytes()).as_bytes();
    // Half of it is the same again and again: sources compress.
    while bytes.len() < size_b {
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(&[b'.'; 32]);
        for byte in &mut block {
            *byte = byte.wrapping_mul(5).wrapping_add(113);
        }
    }
    bytes.truncate(size_b);
    bytes
}
