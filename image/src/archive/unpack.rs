//! Unpacks one tar into a staged tree, distrusting every byte of it.
//!
//! - Names are plain relative UTF-8 paths; a leading `./` is dropped, all else is refused by name.
//! - An entry below something that is not a directory, such as a link planted earlier, is refused.
//! - A hard link names an earlier file of the same tree.
//! - A path that comes again replaces what was there; a directory keeps what it holds.
//! - Devices, fifos and sockets are left out; set-id and sticky bits, owners and times are dropped.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::Bound;

use kbs_plan::path::{PATH_MAX_B, RelPath};
use tar::{Archive, Entry, EntryType};

use super::UnpackError;
use super::budget::{Budget, Content, Meter, Stream};
use super::staged::StagedTree;
use crate::request::Progress;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
const PROGRESS_EVERY: u64 = 512;

/// How an archive relates to what is in the tree already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The archive is the whole tree, and must have its end marker.
    Whole,
    /// The lowest layer of an image: its whiteouts hide nothing.
    BaseLayer,
    /// A layer over others: its whiteouts hide what they put there.
    UpperLayer,
}

/// Unpacks the tar that `raw` yields, uncompressed, and reads `raw` to its end.
pub(crate) fn unpack(
    raw: &mut dyn Read,
    role: Role,
    tree: &mut StagedTree,
    budget: &Budget,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), UnpackError> {
    let meter = Meter::new(budget);
    let mut archive = Archive::new(Stream { inner: raw, meter: &meter });
    let mut unpacker = Unpacker { role, tree, budget, meter: &meter, fresh: BTreeSet::new() };
    let mut entries = archive.entries().map_err(UnpackError::Read)?;
    loop {
        meter.expect_headers();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| unpacker.read_error(error))?;
        meter.expect_content();
        unpacker.entry(&mut entry, progress)?;
        if budget.entries().is_multiple_of(PROGRESS_EVERY) {
            progress(Progress::Unpacked { entries: budget.entries(), size_b: budget.written_b() });
        }
    }
    // A layer is known by its digest, but nothing else tells that a bare tar was cut off between
    // two entries.
    if meter.ended() && role == Role::Whole {
        return Err(UnpackError::Truncated);
    }
    meter.expect_content();
    io::copy(&mut archive.into_inner(), &mut io::sink())
        .map_err(|error| unpacker.read_error(error))?;
    Ok(())
}

struct Unpacker<'a> {
    role: Role,
    tree: &'a mut StagedTree,
    budget: &'a Budget,
    meter: &'a Meter<'a>,
    /// What this layer itself put into the tree: its whiteouts spare that, in whatever order.
    fresh: BTreeSet<String>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), UnpackError> {
        if !self.budget.take_entry() {
            return Err(UnpackError::TooManyEntries { limit: self.budget.limits.entries });
        }
        let kind = entry.header().entry_type();
        // Defaults for later entries: times, owners, comments. None of it is used.
        if kind == EntryType::XGlobalHeader {
            return self.skip_content(entry);
        }
        let name = entry.path_bytes();
        let is_directory =
            kind == EntryType::Directory || (kind == EntryType::Regular && name.ends_with(b"/"));
        let Some(path) = tree_path(&name)? else {
            return self.skip_content(entry);
        };
        drop(name);
        if self.role != Role::Whole && path.file_name().starts_with(WHITEOUT) {
            self.whiteout(&path)?;
            return self.skip_content(entry);
        }
        match kind {
            _ if is_directory => self.tree.directory(&path).map_err(|e| write_error(&path, e))?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&path, entry)?;
            }
            EntryType::Symlink => {
                let target = symlink_target(&path, entry.link_name_bytes().as_deref())?;
                self.tree.symlink(&path, &target).map_err(|e| write_error(&path, e))?;
            }
            EntryType::Link => self.hard_link(&path, entry.link_name_bytes().as_deref())?,
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let kind = if kind == EntryType::Fifo { "fifo" } else { "device" };
                progress(Progress::Skipped { path: path.to_string(), kind });
                return self.skip_content(entry);
            }
            other => {
                let kind = char::from(other.as_byte()).escape_default().to_string();
                return Err(UnpackError::Kind { path, kind });
            }
        }
        if self.role == Role::UpperLayer {
            self.fresh.insert(path.to_string());
        }
        self.skip_content(entry)
    }

    fn file<R: Read>(
        &mut self,
        path: &RelPath,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), UnpackError> {
        refuse_sparse_records(path, entry)?;
        let executable = entry.header().mode().map_err(UnpackError::Read)? & 0o111 != 0;
        let size_b = entry.size();
        let mut data = Content { inner: entry, meter: self.meter, failed: false };
        match self.tree.file(path, executable, &mut data) {
            Ok(written_b) if written_b == size_b => Ok(()),
            Ok(_) => Err(UnpackError::Truncated),
            Err(error) if data.failed => Err(self.read_error(error)),
            Err(error) => Err(write_error(path, error)),
        }
    }

    fn hard_link(&mut self, path: &RelPath, original: Option<&[u8]>) -> Result<(), UnpackError> {
        // The root itself is what is left of `.`: no file either.
        let original = tree_path(original.unwrap_or_default())?.unwrap_or_else(|| path.clone());
        match self.tree.hard_link(path, &original) {
            Ok(true) => Ok(()),
            Ok(false) => Err(UnpackError::HardLinkTarget { path: path.clone(), original }),
            Err(error) => Err(write_error(path, error)),
        }
    }

    /// Reads what follows an entry whose content does not matter.
    fn skip_content<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        let mut data = Content { inner: entry, meter: self.meter, failed: false };
        io::copy(&mut data, &mut io::sink()).map_err(|error| self.read_error(error))?;
        if self.meter.ended() { Err(UnpackError::Truncated) } else { Ok(()) }
    }

    fn whiteout(&mut self, marker: &RelPath) -> Result<(), UnpackError> {
        let name = marker.file_name();
        let parent = marker.parent();
        let hidden = if name == OPAQUE {
            let hidden = self.children(parent.as_ref());
            hidden.map_err(|source| write_error(marker, source))?
        } else if name.starts_with(".wh..wh.") {
            // Bookkeeping of the AUFS file system.
            return Ok(());
        } else {
            let hidden = &name[WHITEOUT.len()..];
            let path = parent.map_or_else(|| RelPath::new(hidden), |parent| parent.join(hidden));
            vec![path.map_err(|source| UnpackError::Name { source })?]
        };
        for path in hidden {
            self.hide(&path).map_err(|source| write_error(&path, source))?;
        }
        Ok(())
    }

    /// Removes what lower layers put at `path` and below it.
    fn hide(&mut self, path: &RelPath) -> io::Result<()> {
        let below = format!("{path}/");
        let kept_below = self
            .fresh
            .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
            .next()
            .is_some_and(|fresh| fresh.starts_with(&below));
        if kept_below || self.fresh.contains(path.as_str()) {
            for child in self.children(Some(path))? {
                self.hide(&child)?;
            }
            return Ok(());
        }
        self.tree.remove(path)
    }

    fn children(&mut self, dir: Option<&RelPath>) -> io::Result<Vec<RelPath>> {
        let names = self.tree.names(dir)?;
        let paths = names.iter().map(|name| match dir {
            None => RelPath::new(name.as_str()),
            Some(dir) => dir.join(name),
        });
        paths.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    fn read_error(&self, error: io::Error) -> UnpackError {
        if self.meter.over() {
            UnpackError::TooLarge { limit_b: self.budget.limits.unpacked_b }
        } else if self.meter.ended() || error.kind() == io::ErrorKind::UnexpectedEof {
            UnpackError::Truncated
        } else {
            UnpackError::Read(error)
        }
    }
}

fn write_error(path: &RelPath, source: io::Error) -> UnpackError {
    let path = path.clone();
    match source.kind() {
        io::ErrorKind::NotADirectory => UnpackError::Parent { path },
        _ => UnpackError::Write { path, source },
    }
}

/// The path that a name in the archive stands for; `None` for the root itself.
fn tree_path(name: &[u8]) -> Result<Option<RelPath>, UnpackError> {
    let mut rest = name;
    while let Some(shorter) = rest.strip_prefix(b"./") {
        rest = shorter;
    }
    if matches!(rest, b"." | b"") && !name.is_empty() {
        return Ok(None);
    }
    let plain = rest.strip_suffix(b"/").unwrap_or(rest);
    RelPath::from_bytes(plain).map(Some).map_err(|source| UnpackError::Name { source })
}

fn symlink_target(path: &RelPath, target: Option<&[u8]>) -> Result<String, UnpackError> {
    target
        .filter(|target| (1..=PATH_MAX_B).contains(&target.len()) && !target.contains(&0))
        .and_then(|target| std::str::from_utf8(target).ok())
        .map(str::to_owned)
        .ok_or_else(|| UnpackError::SymlinkTarget { path: path.clone() })
}

/// A pax sparse file looks like a plain one with a map in front: taken as such it would be wrong.
fn refuse_sparse_records<R: Read>(
    path: &RelPath,
    entry: &mut Entry<'_, R>,
) -> Result<(), UnpackError> {
    let Some(records) = entry.pax_extensions().map_err(UnpackError::Read)? else { return Ok(()) };
    for record in records {
        let record = record.map_err(UnpackError::Read)?;
        if record.key_bytes().starts_with(b"GNU.sparse.") {
            return Err(UnpackError::Kind { path: path.clone(), kind: "GNU.sparse".to_owned() });
        }
    }
    Ok(())
}
