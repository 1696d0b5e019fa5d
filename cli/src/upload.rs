//! Archives on their way to a daemon, in pieces, without a path being handed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kbs_plan::error::{Class, Help};
use kbs_proto::pb::ImportImageRequest;
use kbs_proto::pb::import_image_request::Part;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

const CHUNK_B: usize = 1 << 20;
/// How many pieces may wait for the daemon.
const AHEAD: usize = 4;

/// Where an archive comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input.
    Stdin,
    /// An archive, or a directory with an OCI layout.
    Path(PathBuf),
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::Path(text.into()) })
    }
}

/// An archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A directory that is no image.
    #[error("{} is not an OCI layout: it has no {missing}", dir.display())]
    NotALayout {
        /// Which.
        dir: PathBuf,
        /// What every layout has.
        missing: &'static str,
    },
}

impl Help for UploadError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotALayout { .. } => {
                Some("give a directory that holds index.json and blobs, or an archive".to_owned())
            }
            Self::Read { .. } => None,
        }
    }
}

/// An archive being sent.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The header, then the bytes.
    pub(crate) requests: ReceiverStream<ImportImageRequest>,
    /// Tells why reading failed; `requests` does not end then.
    pub(crate) failed: oneshot::Receiver<UploadError>,
}

impl Upload {
    /// Begins to send `header` and what `source` holds, read by a thread of its own.
    ///
    /// # Errors
    /// [`UploadError`], where `source` cannot even be opened.
    pub(crate) fn begin(
        header: ImportImageRequest,
        source: Option<Source>,
    ) -> Result<Self, UploadError> {
        let (sender, requests) = mpsc::channel(AHEAD);
        let (fail, failed) = oneshot::channel();
        sender.try_send(header).expect("the channel is new and has room");
        if let Some(source) = source {
            let archive = Archive::open(source)?;
            std::thread::spawn(move || {
                let mut out = BufWriter::with_capacity(CHUNK_B, Pieces { sender });
                match archive.write(&mut out) {
                    Ok(()) => {}
                    // The daemon has answered already and wants no more.
                    Err(UploadError::Read { source, .. })
                        if source.kind() == ErrorKind::BrokenPipe => {}
                    Err(error) => {
                        fail.send(error).ok();
                        // Dropping the sender would end the archive as if it were whole.
                        loop {
                            std::thread::park();
                        }
                    }
                }
            });
        }
        Ok(Self { requests: ReceiverStream::new(requests), failed })
    }
}

/// An archive that was found and opened.
enum Archive {
    Stdin,
    File(File, PathBuf),
    Layout(Layout),
}

impl Archive {
    fn open(source: Source) -> Result<Self, UploadError> {
        match source {
            Source::Stdin => Ok(Self::Stdin),
            Source::Path(path) if path.is_dir() => Layout::find(&path).map(Self::Layout),
            Source::Path(path) => {
                let file = File::open(&path).map_err(on(&path))?;
                Ok(Self::File(file, path))
            }
        }
    }

    fn write(self, out: &mut dyn Write) -> Result<(), UploadError> {
        let stdin = Path::new("stdin");
        match self {
            Self::Stdin => copy(&mut std::io::stdin().lock(), out, stdin)?,
            Self::File(mut file, path) => copy(&mut file, out, &path)?,
            Self::Layout(layout) => layout.write(out)?,
        }
        out.flush().map_err(on(stdin))
    }
}

/// The files of an OCI layout, by their names in it.
#[derive(Debug)]
struct Layout {
    dir: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Layout {
    /// Finds what belongs to a layout, and nothing else that may lie in the directory.
    fn find(dir: &Path) -> Result<Self, UploadError> {
        let mut files = BTreeMap::new();
        for (name, is_needed) in [("index.json", true), ("oci-layout", false)] {
            let path = dir.join(name);
            if path.is_file() {
                files.insert(name.to_owned(), path);
            } else if is_needed {
                return Err(UploadError::NotALayout { dir: dir.to_owned(), missing: name });
            }
        }
        let blobs = dir.join("blobs");
        if !blobs.is_dir() {
            return Err(UploadError::NotALayout { dir: dir.to_owned(), missing: "blobs" });
        }
        for (algorithm, path) in children(&blobs)? {
            for (digits, path) in children(&path)? {
                files.insert(format!("blobs/{algorithm}/{digits}"), path);
            }
        }
        Ok(Self { dir: dir.to_owned(), files })
    }

    /// Writes a tar of it, which depends on nothing but names and bytes.
    fn write(&self, out: &mut dyn Write) -> Result<(), UploadError> {
        let Self { dir, files } = self;
        let mut tar = tar::Builder::new(out);
        for (name, path) in files {
            let file = File::open(path).map_err(on(path))?;
            let found = file.metadata().map_err(on(path))?;
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(found.len());
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_path(name).map_err(on(path))?;
            header.set_cksum();
            // A file that changes meanwhile must not shift those after it.
            let mut bytes = Exactly { file, left_b: found.len() };
            tar.append(&header, &mut bytes).map_err(on(path))?;
        }
        tar.finish().map_err(on(dir))
    }
}

/// The regular files and directories in `dir`, links followed, by name.
fn children(dir: &Path) -> Result<BTreeMap<String, PathBuf>, UploadError> {
    let mut children = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(on(dir))? {
        let entry = entry.map_err(on(dir))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| {
            on(&path)(std::io::Error::new(ErrorKind::InvalidData, "its name is not UTF-8"))
        })?;
        children.insert(name, path);
    }
    Ok(children)
}

/// Exactly so many bytes of a file, or an error.
struct Exactly {
    file: File,
    left_b: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left_b).unwrap_or(usize::MAX).min(buffer.len());
        let read_b = self.file.read(&mut buffer[..room])?;
        if read_b == 0 && room > 0 {
            return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "it became shorter"));
        }
        self.left_b -= read_b as u64;
        Ok(read_b)
    }
}

/// Sends what is written, piece by piece; waits while the daemon is behind.
struct Pieces {
    sender: mpsc::Sender<ImportImageRequest>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = &bytes[..bytes.len().min(CHUNK_B)];
        let request = ImportImageRequest { part: Some(Part::Data(piece.to_vec())) };
        match self.sender.blocking_send(request) {
            Ok(()) => Ok(piece.len()),
            Err(_) => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn copy(from: &mut dyn Read, out: &mut dyn Write, path: &Path) -> Result<(), UploadError> {
    let mut buffer = vec![0; CHUNK_B];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read_b) => out.write_all(&buffer[..read_b]).map_err(on(path))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(on(path)(error)),
        }
    }
}

fn on(path: &Path) -> impl FnOnce(std::io::Error) -> UploadError + '_ {
    move |source| UploadError::Read { path: path.to_owned(), source }
}
