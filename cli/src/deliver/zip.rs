//! `--zip`: an output with its log and meta data as an archive that is always the same bytes.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kbs_proto::pb;
use tempfile::NamedTempFile;
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::fetch::{Entry, Fetched};
use super::{DeliverError, on, parent};
use crate::connect::Daemon;
use crate::error::{CliError, remote};

const META: &str = "build-meta.json";
const LOG: &str = "build.log";
/// Another level gives other bytes.
const LEVEL: i64 = 6;

/// Writes the archive of an output to `target`, which appears whole or not at all.
///
/// # Errors
/// What the daemon answered about the log, or [`DeliverError`].
pub(crate) async fn write(
    daemon: &Daemon,
    key: &str,
    fetched: &Fetched,
    target: &Path,
) -> Result<(), CliError> {
    if let Some(taken) = fetched.entries.keys().find(|path| [META, LOG].contains(&path.as_str())) {
        return Err(DeliverError::Taken { name: taken.to_string() }.into());
    }
    let mut archive = Archive::create(target)?;
    archive.text(META, &fetched.meta_json)?;
    archive.begin(LOG, 0o644, 0)?;
    let request = pb::LogRequest { key: key.to_owned(), offset: 0, follow: false };
    let mut chunks = daemon.builds().log(request).await.map_err(remote)?.into_inner();
    while let Some(pb::LogChunk { offset: _, data }) = chunks.message().await.map_err(remote)? {
        archive.bytes(&data)?;
    }
    for (path, entry) in &fetched.entries {
        match entry {
            Entry::File { size_b, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                archive.begin(path.as_str(), mode, *size_b)?;
                archive.file(&fetched.place(path))?;
            }
            Entry::Link { target } => archive.link(path.as_str(), target)?,
        }
    }
    Ok(archive.finish()?)
}

struct Archive {
    zip: ZipWriter<BufWriter<NamedTempFile>>,
    target: PathBuf,
}

impl Archive {
    fn create(target: &Path) -> Result<Self, DeliverError> {
        let file = tempfile::Builder::new()
            .prefix(".kbs-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(parent(target))
            .map_err(on("write", target))?;
        Ok(Self { zip: ZipWriter::new(BufWriter::new(file)), target: target.to_owned() })
    }

    fn begin(&mut self, name: &str, mode: u32, size_b: u64) -> Result<(), DeliverError> {
        let begun = self.zip.start_file(name, options(mode, size_b));
        self.check(begun)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), DeliverError> {
        self.begin(name, 0o644, text.len() as u64)?;
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), DeliverError> {
        let written = self.zip.write_all(bytes).map_err(ZipError::from);
        self.check(written)
    }

    fn file(&mut self, path: &Path) -> Result<(), DeliverError> {
        let mut file = File::open(path).map_err(on("read", path))?;
        let copied = std::io::copy(&mut file, &mut self.zip).map(|_| ()).map_err(ZipError::from);
        self.check(copied)
    }

    fn link(&mut self, name: &str, target: &str) -> Result<(), DeliverError> {
        let added = self.zip.add_symlink(name, target, options(0o777, 0));
        self.check(added)
    }

    fn finish(self) -> Result<(), DeliverError> {
        let Self { zip, target } = self;
        let failed = |source| DeliverError::Archive { path: target.clone(), source };
        let buffer = zip.finish().map_err(failed)?;
        let file = buffer.into_inner().map_err(|error| on("write", &target)(error.into_error()))?;
        file.as_file().sync_all().map_err(on("write", &target))?;
        file.persist(&target).map_err(|error| on("write", &target)(error.error))?;
        Ok(())
    }

    fn check(&self, result: ZipResult<()>) -> Result<(), DeliverError> {
        result.map_err(|source| DeliverError::Archive { path: self.target.clone(), source })
    }
}

/// Everything that could differ from run to run, fixed.
fn options(mode: u32, size_b: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(mode)
        .large_file(size_b > u64::from(u32::MAX))
}
