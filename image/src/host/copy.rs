//! Copies what was chosen: one thread reads and hashes while another writes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use kbs_plan::path::RelPath;
use rustix::fs::{CWD, OFlags};

use super::picks::{Pick, failed};
use super::{HostError, Selection};
use crate::archive::{Canonical, Contents, StagedTree, open_directory, stamp_directory};
use crate::request::Progress;

const PROGRESS_EVERY: u64 = 256;
const CHUNK_B: usize = 256 << 10;
/// How far reading may be ahead of writing.
const STEPS_AHEAD: usize = 16;

impl Selection {
    /// Copies everything into `tree`, whose directory is `root`.
    ///
    /// # Errors
    /// [`HostError::File`], also where a file changes while it is copied.
    pub(crate) fn copy(
        &self,
        tree: &mut StagedTree,
        root: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Contents, HostError> {
        let (steps, to_write) = sync_channel(STEPS_AHEAD);
        let contents = thread::scope(|scope| {
            let writer = scope.spawn(|| write_all(tree, to_write));
            let contents = self.read_all(steps, progress);
            // Where writing failed, reading only says that nobody listens.
            writer.join().expect("the writer does not panic").and(contents)
        });
        let contents = contents.map_err(|error| self.without_room(root, error))?;
        // Only now, since what is made in a directory changes its time.
        let stamp = |path: &Path| open_directory(CWD, path).and_then(|dir| stamp_directory(&dir));
        let directories = self.picks.paths.iter().filter(|(_, pick)| **pick == Pick::Directory);
        for (path, _) in directories {
            stamp(&root.join(path.as_path())).map_err(|source| failed(path.as_str(), source))?;
        }
        stamp(root).map_err(|source| failed("", source))?;
        Ok(contents)
    }

    /// Tells what a full disk lacks; other errors are as they were.
    fn without_room(&self, place: &Path, error: HostError) -> HostError {
        match error {
            HostError::File { path, source }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                let files = self.picks.paths.iter().filter(|(_, pick)| **pick == Pick::File);
                let size_b = |path: &RelPath| {
                    let facts = self.picks.host.full(path.as_str()).metadata();
                    facts.map_or(0, |facts| facts.len())
                };
                let needed_b = files.map(|(path, _)| size_b(path)).sum();
                HostError::NoSpace { path, place: place.to_owned(), needed_b, source }
            }
            other => other,
        }
    }

    fn read_all<'a>(
        &'a self,
        steps: SyncSender<Step<'a>>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Contents, HostError> {
        let is_file = |pick: &&Pick| matches!(pick, Pick::File | Pick::Text(_));
        let files_total = self.picks.paths.values().filter(is_file).count() as u64;
        let canonical = Canonical::new(io::sink());
        let mut reader = Reader { from: self, canonical, linked: BTreeMap::new(), steps };
        for (path, pick) in &self.picks.paths {
            reader.entry(path, pick).map_err(|source| failed(path.as_str(), source))?;
            let (files, size_b) = reader.canonical.so_far();
            if is_file(&pick) && (files.is_multiple_of(PROGRESS_EVERY) || files == files_total) {
                progress(Progress::Copied { files, files_total, size_b });
            }
        }
        reader.canonical.finish().map_err(|source| failed("", source))
    }
}

/// What the writing thread does next.
enum Step<'a> {
    Directory(&'a RelPath),
    Symlink(&'a RelPath, &'a str),
    /// Another name of the file written before.
    HardLink(&'a RelPath, &'a RelPath),
    /// A file, executable or not: what follows is its content, up to an empty chunk.
    File(&'a RelPath, bool),
    Chunk(Vec<u8>),
}

struct Reader<'a> {
    from: &'a Selection,
    canonical: Canonical<io::Sink>,
    /// Files that the host has under several names, by device and inode, with the first of them:
    /// a fifth of a toolchain is like that.
    linked: BTreeMap<(u64, u64), &'a RelPath>,
    steps: SyncSender<Step<'a>>,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, path: &'a RelPath, pick: &'a Pick) -> io::Result<()> {
        match pick {
            Pick::Directory => {
                self.canonical.directory(path)?;
                send(&self.steps, Step::Directory(path))
            }
            Pick::Symlink(target) => {
                self.canonical.symlink(path, target)?;
                send(&self.steps, Step::Symlink(path, target))
            }
            Pick::Text(text) => {
                self.content(path, (false, text.len() as u64), &mut text.as_bytes())
            }
            Pick::File => self.file(path),
        }
    }

    fn file(&mut self, path: &'a RelPath) -> io::Result<()> {
        let mut file = open(&self.from.picks.host.full(path.as_str()))?;
        let about = file.metadata()?;
        let shape = (about.permissions().mode() & 0o111 != 0, about.len());
        let inode = (about.dev(), about.ino());
        if let Some(first) = self.linked.get(&inode) {
            send(&self.steps, Step::HardLink(path, first))?;
            return self.canonical.file(path, shape, &mut file, |data| {
                io::copy(&mut io::BufReader::with_capacity(CHUNK_B, data), &mut io::sink())
            });
        }
        if about.nlink() > 1 {
            self.linked.insert(inode, path);
        }
        self.content(path, shape, &mut file)
    }

    fn content(
        &mut self,
        path: &'a RelPath,
        shape: (bool, u64),
        data: &mut dyn Read,
    ) -> io::Result<()> {
        let (executable, size_b) = shape;
        let chunk_b = usize::try_from(size_b).map_or(CHUNK_B, |size| size.clamp(1, CHUNK_B));
        send(&self.steps, Step::File(path, executable))?;
        self.canonical.file(path, shape, data, |data| {
            let mut total = 0;
            loop {
                let mut chunk = vec![0; chunk_b];
                let count = data.read(&mut chunk)?;
                chunk.truncate(count);
                send(&self.steps, Step::Chunk(chunk))?;
                if count == 0 {
                    return Ok(total);
                }
                total += count as u64;
            }
        })
    }
}

fn send<'a>(steps: &SyncSender<Step<'a>>, step: Step<'a>) -> io::Result<()> {
    steps.send(step).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn write_all(tree: &mut StagedTree, steps: Receiver<Step<'_>>) -> Result<(), HostError> {
    let mut content = Chunks { steps, left: io::Cursor::default() };
    while let Ok(step) = content.steps.recv() {
        let (path, written) = match step {
            Step::Directory(path) => (path, tree.directory(path)),
            Step::Symlink(path, target) => (path, tree.symlink(path, target)),
            Step::HardLink(path, first) => (path, tree.hard_link(path, first).map(drop)),
            Step::File(path, executable) => {
                (path, tree.file(path, executable, &mut content).map(drop))
            }
            Step::Chunk(_) => unreachable!("chunks are read by the file before them"),
        };
        written.map_err(|source| failed(path.as_str(), source))?;
    }
    Ok(())
}

/// The content of the file that is being written.
struct Chunks<'a> {
    steps: Receiver<Step<'a>>,
    left: io::Cursor<Vec<u8>>,
}

impl Read for Chunks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.left.read(into)?;
        if count > 0 {
            return Ok(count);
        }
        match self.steps.recv() {
            Ok(Step::Chunk(chunk)) => self.left = io::Cursor::new(chunk),
            // Reading failed, and the whole tree with it: that is the error to tell of.
            _ => return Ok(0),
        }
        self.left.read(into)
    }
}
