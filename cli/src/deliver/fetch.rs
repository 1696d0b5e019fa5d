//! The files of an output, taken from a daemon and checked.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kbs_plan::id::{Blob, BlobId, IdHasher};
use kbs_plan::path::RelPath;
use kbs_proto::pb;
use kbs_proto::pb::fetch_chunk::Part;
use tempfile::TempDir;

use super::{DeliverError, on};
use crate::connect::Daemon;
use crate::error::{CliError, remote};

/// An output in a temporary directory, every byte checked.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// What is known of the output, as JSON.
    pub(crate) meta_json: String,
    /// Its entries, in order of their paths.
    pub(crate) entries: BTreeMap<RelPath, Entry>,
    dir: TempDir,
}

/// What stands at a path of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file, stored in the temporary directory.
    File {
        /// Its size in bytes.
        size_b: u64,
        /// Whether it can be run.
        executable: bool,
    },
    /// A symbolic link, not made yet.
    Link {
        /// Where it points, inside the output.
        target: String,
    },
}

impl Fetched {
    /// Fetches the output of `key` into a directory below `near`, which must exist.
    ///
    /// # Errors
    /// What the daemon answered, or [`DeliverError`].
    pub(crate) async fn fetch(daemon: &Daemon, key: &str, near: &Path) -> Result<Self, CliError> {
        let dir = tempfile::Builder::new()
            .prefix(".kbs-")
            .tempdir_in(near)
            .map_err(on("make a directory in", near))?;
        let mut fetch = Fetch { meta_json: None, entries: BTreeMap::new(), dir, open: None };
        let request = pb::FetchRequest { key: key.to_owned() };
        let mut chunks = daemon.builds().fetch(request).await.map_err(remote)?.into_inner();
        while let Some(chunk) = chunks.message().await.map_err(remote)? {
            fetch.take(chunk)?;
        }
        Ok(fetch.finish()?)
    }

    /// Where the bytes of a file are.
    pub(crate) fn place(&self, path: &RelPath) -> PathBuf {
        self.dir.path().join(path.as_path())
    }
}

struct Fetch {
    meta_json: Option<String>,
    entries: BTreeMap<RelPath, Entry>,
    dir: TempDir,
    open: Option<OpenFile>,
}

/// The file whose bytes come next.
struct OpenFile {
    file: File,
    place: PathBuf,
    path: RelPath,
    hasher: IdHasher<Blob>,
    left_b: u64,
    blob: BlobId,
}

impl Fetch {
    fn take(&mut self, chunk: pb::FetchChunk) -> Result<(), DeliverError> {
        match chunk.part {
            Some(Part::MetaJson(meta)) => self.meta_json = Some(meta),
            Some(Part::File(file)) => {
                self.close()?;
                self.open(file)?;
            }
            Some(Part::Data(data)) => match &mut self.open {
                Some(open) => open.write(&data)?,
                None => return Err(bad("bytes came before the name of their file")),
            },
            Some(Part::Link(pb::OutputLink { path, target })) => {
                self.close()?;
                let path = plain_path(path)?;
                if !stays_inside(&path, &target) {
                    return Err(bad(format!("the link {path} points outside")));
                }
                self.insert(&path, Entry::Link { target })?;
            }
            // A part of a newer daemon would be missing in the copy.
            None => return Err(bad("it has a part that this kbs does not know")),
        }
        Ok(())
    }

    fn open(&mut self, file: pb::OutputFile) -> Result<(), DeliverError> {
        let pb::OutputFile { path, size_b, blob, executable } = file;
        let path = plain_path(path)?;
        let blob = blob.parse().map_err(|error| bad(format!("{path}: {error}")))?;
        self.insert(&path, Entry::File { size_b, executable })?;
        let place = self.dir.path().join(path.as_path());
        if let Some(dir) = place.parent() {
            DirBuilder::new().recursive(true).create(dir).map_err(on("make", dir))?;
        }
        // Links are made last, so nothing here leads out of the temporary directory.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if executable { 0o777 } else { 0o666 })
            .open(&place)
            .map_err(on("write", &place))?;
        let hasher = IdHasher::new();
        self.open = Some(OpenFile { file, place, path, hasher, left_b: size_b, blob });
        Ok(())
    }

    fn insert(&mut self, path: &RelPath, entry: Entry) -> Result<(), DeliverError> {
        match self.entries.insert(path.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(bad(format!("it has {path} twice"))),
        }
    }

    fn close(&mut self) -> Result<(), DeliverError> {
        let Some(OpenFile { path, hasher, left_b, blob, .. }) = self.open.take() else {
            return Ok(());
        };
        if left_b == 0 && hasher.finish() == blob {
            Ok(())
        } else {
            Err(bad(format!("{path} does not have the bytes that were announced")))
        }
    }

    fn finish(mut self) -> Result<Fetched, DeliverError> {
        self.close()?;
        let Self { meta_json, entries, dir, open: _ } = self;
        let meta_json = meta_json.ok_or_else(|| bad("it has no build-meta.json"))?;
        Ok(Fetched { meta_json, entries, dir })
    }
}

impl OpenFile {
    fn write(&mut self, data: &[u8]) -> Result<(), DeliverError> {
        let left_b = self.left_b.checked_sub(data.len() as u64);
        self.left_b =
            left_b.ok_or_else(|| bad(format!("{} is longer than announced", self.path)))?;
        self.hasher.update(data);
        self.file.write_all(data).map_err(on("write", &self.place))
    }
}

fn bad(reason: impl Into<String>) -> DeliverError {
    DeliverError::Bad { reason: reason.into() }
}

fn plain_path(path: String) -> Result<RelPath, DeliverError> {
    RelPath::new(path).map_err(|error| bad(error.to_string()))
}

/// Whether a link at `path` leads to something inside the output, by its text.
fn stays_inside(path: &RelPath, target: &str) -> bool {
    let mut depth = path.components().count() - 1;
    !target.is_empty()
        && !target.starts_with('/')
        && !target.contains('\0')
        && target.split('/').all(|name| match name {
            "" | "." => true,
            ".." => depth.checked_sub(1).map(|up| depth = up).is_some(),
            _ => {
                depth += 1;
                true
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch() -> Fetch {
        let dir = tempfile::tempdir().unwrap();
        Fetch { meta_json: None, entries: BTreeMap::new(), dir, open: None }
    }

    fn file(path: &str, bytes: &[u8]) -> Vec<pb::FetchChunk> {
        let header = pb::OutputFile {
            path: path.to_owned(),
            size_b: bytes.len() as u64,
            blob: BlobId::of(bytes).to_string(),
            executable: false,
        };
        [Part::File(header), Part::Data(bytes.to_vec())]
            .map(|part| pb::FetchChunk { part: Some(part) })
            .to_vec()
    }

    fn link(path: &str, target: &str) -> pb::FetchChunk {
        let link = pb::OutputLink { path: path.to_owned(), target: target.to_owned() };
        pb::FetchChunk { part: Some(Part::Link(link)) }
    }

    fn meta() -> pb::FetchChunk {
        pb::FetchChunk { part: Some(Part::MetaJson("{}".to_owned())) }
    }

    fn all(chunks: Vec<pb::FetchChunk>) -> Result<Fetched, DeliverError> {
        let mut fetch = fetch();
        for chunk in chunks {
            fetch.take(chunk)?;
        }
        fetch.finish()
    }

    #[test]
    fn an_output_arrives_whole() {
        let chunks =
            [vec![meta()], file("b/x.bin", b"firm"), file("a", b""), vec![link("c", "b/x.bin")]];
        let fetched = all(chunks.concat()).unwrap();
        let paths: Vec<_> = fetched.entries.keys().map(RelPath::as_str).collect();
        assert_eq!(paths, ["a", "b/x.bin", "c"]);
        let place = fetched.place(&RelPath::new("b/x.bin").unwrap());
        assert_eq!(std::fs::read(place).unwrap(), b"firm");
    }

    #[test]
    fn bytes_that_were_not_announced_are_refused() {
        let mut other = file("x", b"firmware");
        other[1].part = Some(Part::Data(b"firmwere".to_vec()));
        let mut longer = file("x", b"firmware");
        longer.push(pb::FetchChunk { part: Some(Part::Data(b"!".to_vec())) });
        let mut shorter = file("x", b"firmware");
        shorter.pop();
        let headless = file("x", b"firmware").split_off(1);
        for chunks in [other, longer, shorter, headless] {
            let refused = all([vec![meta()], chunks].concat());
            assert!(matches!(refused, Err(DeliverError::Bad { .. })), "{refused:?}");
        }
        assert!(all(file("x", b"firmware")).is_err(), "without its meta data");
    }

    #[test]
    fn nothing_leads_out_of_the_output() {
        let hostile = [
            file("../x", b""),
            file("/etc/x", b""),
            [file("x", b""), file("x", b"")].concat(),
            vec![link("x", "/etc/passwd")],
            vec![link("x", "../y")],
            vec![link("a/x", "../b/../../y")],
            vec![link("x", "")],
        ];
        for chunks in hostile {
            let refused = all([vec![meta()], chunks.clone()].concat());
            assert!(matches!(refused, Err(DeliverError::Bad { .. })), "{chunks:?}");
        }
    }
}
