//! Build logs: compressed while they are written, limited, readable to the end reached so far.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use kbs_plan::id::{Blob, BuildKey, IdHasher};

use crate::disk;
use crate::error::{At as _, StoreError, no_room};
use crate::layout::Layout;
use crate::row::{Ending, LogFacts};
use crate::store::Store;

/// After so many bytes, what was written becomes readable without waiting for more.
const FLUSH_EVERY_B: u64 = 16 << 10;
const LEVEL: i32 = 3;

/// A log being written, in `scratch/`; dropped unfinished, it is gone.
pub struct LogWriter {
    encoder: zstd::Encoder<'static, File>,
    path: tempfile::TempPath,
    hasher: IdHasher<Blob>,
    limit_b: u64,
    size_b: u64,
    dropped_b: u64,
    unflushed_b: u64,
    last_byte: u8,
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A complete log that waits in `scratch/` for its row; dropped, it is gone.
#[derive(Debug)]
pub struct LogFile {
    path: tempfile::TempPath,
    facts: LogFacts,
}

impl LogFile {
    /// Size and hash of the decoded bytes.
    pub fn facts(&self) -> &LogFacts {
        &self.facts
    }

    /// Gives the log its name; the directory of logs is not synced yet.
    pub(crate) fn place(
        self,
        layout: &Layout,
        key: BuildKey,
        ending: Ending,
    ) -> Result<(), StoreError> {
        let place = layout.log(key, ending);
        disk::rename(&self.path, &place, "rename the log to")?;
        // Its name in scratch is gone.
        drop(self.path.keep());
        Ok(())
    }
}

impl Store {
    /// Begins a log; of what is written to it, the first `limit_b` bytes are kept, then one line
    /// says that there was more.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NoSpace`].
    pub fn log_writer(&self, limit_b: u64) -> Result<LogWriter, StoreError> {
        let scratch = self.paths().scratch();
        let (file, path) = disk::step("create a file")
            .and_then(|()| tempfile::Builder::new().prefix("log-").tempfile_in(&scratch))
            .at("make a file in", &scratch)?
            .into_parts();
        let encoder = zstd::Encoder::new(file, LEVEL).and_then(|mut encoder| {
            encoder.include_checksum(true)?;
            Ok(encoder)
        });
        Ok(LogWriter {
            encoder: encoder.at("compress into", &path)?,
            path,
            hasher: IdHasher::new(),
            limit_b,
            size_b: 0,
            dropped_b: 0,
            unflushed_b: 0,
            last_byte: b'\n',
        })
    }

    /// Opens the log of `key` as it is after its first `offset_b` decoded bytes; `None` where no
    /// such log is kept, nothing to read where it is shorter.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the log cannot be read or its checksum is wrong; while reading,
    /// the same as [`io::Error`].
    pub fn read_log(
        &self,
        key: BuildKey,
        ending: Ending,
        offset_b: u64,
    ) -> Result<Option<LogReader>, StoreError> {
        let stored_as = match ending {
            Ending::Failed => key,
            Ending::Succeeded => self.lookup(key)?.map_or(key, |row| row.stored_as),
        };
        let path = self.paths().log(stored_as, ending);
        match File::open(&path) {
            Ok(file) => LogReader::open(&path, file, offset_b, Growth::Finished).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("open the log", &path),
        }
    }
}

impl LogWriter {
    /// A handle with which other threads read what has been written so far.
    pub fn tail(&self) -> LogTail {
        LogTail { path: self.path.to_path_buf() }
    }

    /// Ends the log, synced.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NoSpace`].
    pub fn finish(mut self) -> Result<LogFile, StoreError> {
        if self.dropped_b > 0 {
            let start = if self.last_byte == b'\n' { "" } else { "\n" };
            let note = format!(
                "{start}kbs: the log passed its limit of {} bytes, {} more were dropped\n",
                self.limit_b, self.dropped_b
            );
            self.keep(note.as_bytes()).at("write the log", &self.path)?;
        }
        let Self { encoder, path, hasher, size_b, dropped_b, unflushed_b, .. } = self;
        let sync = || {
            disk::step("write")?;
            let file = encoder.finish()?;
            disk::step("sync")?;
            file.sync_all()
        };
        sync().map_err(|error| no_room("write the log", &path, unflushed_b, error))?;
        let facts = LogFacts { size_b, dropped_b, digest: hasher.finish() };
        Ok(LogFile { path, facts })
    }

    /// An error with the path and what is needed.
    fn told(&self, needed_b: u64, error: io::Error) -> io::Error {
        let kind = error.kind();
        io::Error::new(kind, no_room("write the log", &self.path, needed_b, error))
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.encoder.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size_b += bytes.len() as u64;
        self.unflushed_b += bytes.len() as u64;
        self.last_byte = bytes.last().copied().unwrap_or(self.last_byte);
        if self.unflushed_b >= FLUSH_EVERY_B {
            self.unflushed_b = 0;
            disk::step("write")?;
            self.encoder.flush()?;
        }
        Ok(())
    }
}

impl Write for LogWriter {
    /// Takes all of `bytes`, also when the limit lets none of them in.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room_b =
            usize::try_from(self.limit_b.saturating_sub(self.size_b)).unwrap_or(usize::MAX);
        let (kept, dropped) = bytes.split_at(bytes.len().min(room_b));
        self.keep(kept).map_err(|error| self.told(bytes.len() as u64, error))?;
        self.dropped_b += dropped.len() as u64;
        Ok(bytes.len())
    }

    /// Makes everything written so far readable through [`LogTail`].
    fn flush(&mut self) -> io::Result<()> {
        let waiting_b = std::mem::take(&mut self.unflushed_b);
        self.encoder.flush().map_err(|error| self.told(waiting_b, error))
    }
}

/// Reads a log that is still being written.
#[derive(Debug, Clone)]
pub struct LogTail {
    path: PathBuf,
}

impl LogTail {
    /// Opens the log as it is now, after its first `offset_b` decoded bytes; `None` once it is
    /// finished and has moved to its place, or was dropped.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn read(&self, offset_b: u64) -> Result<Option<LogReader>, StoreError> {
        match File::open(&self.path) {
            Ok(file) => LogReader::open(&self.path, file, offset_b, Growth::Growing).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("open the log", &self.path),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Finished,
    /// Where the file ends, more will come.
    Growing,
}

/// The decoded bytes of a log.
pub struct LogReader {
    decoder: zstd::Decoder<'static, BufReader<File>>,
    growth: Growth,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("growth", &self.growth).finish_non_exhaustive()
    }
}

impl LogReader {
    fn open(path: &Path, file: File, offset_b: u64, growth: Growth) -> Result<Self, StoreError> {
        let decoder = zstd::Decoder::new(file).at("read the log", path)?;
        let mut reader = Self { decoder, growth };
        io::copy(&mut (&mut reader).take(offset_b), &mut io::sink()).at("read the log", path)?;
        Ok(reader)
    }
}

impl Read for LogReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(buffer) {
            Err(error)
                if self.growth == Growth::Growing
                    && error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Ok(0)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_plan::id::BlobId;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        (dir, store)
    }

    fn text(reader: Option<LogReader>) -> String {
        io::read_to_string(reader.unwrap()).unwrap()
    }

    #[test]
    fn a_log_is_read_while_it_is_written() {
        let (_dir, store) = store();
        let mut writer = store.log_writer(1 << 20).unwrap();
        let tail = writer.tail();
        writer.write_all(b"CC foo.o\n").unwrap();
        writer.flush().unwrap();
        assert_eq!(text(tail.read(0).unwrap()), "CC foo.o\n");
        assert_eq!(text(tail.read(3).unwrap()), "foo.o\n");
        assert_eq!(text(tail.read(100).unwrap()), "");
        // Without an explicit flush, at most one flush interval is held back.
        let line = "x".repeat(99) + "\n";
        for _ in 0..1000 {
            writer.write_all(line.as_bytes()).unwrap();
        }
        let held_back = 100_009 - text(tail.read(0).unwrap()).len() as u64;
        assert!(held_back <= FLUSH_EVERY_B, "{held_back}");
        drop(writer);
        assert!(tail.read(0).unwrap().is_none());
    }

    #[test]
    fn after_the_limit_one_line_is_written() {
        let (_dir, store) = store();
        let mut writer = store.log_writer(10).unwrap();
        for _ in 0..1000 {
            writer.write_all(b"0123456").unwrap();
        }
        let log = writer.finish().unwrap();
        let LogFacts { size_b, dropped_b, digest } = log.facts().clone();
        assert_eq!(dropped_b, 6990);
        let key = BuildKey::of(b"x");
        log.place(store.paths(), key, Ending::Failed).unwrap();
        let read = text(store.read_log(key, Ending::Failed, 0).unwrap());
        assert_eq!(
            read,
            "0123456012\nkbs: the log passed its limit of 10 bytes, 6990 more were dropped\n"
        );
        assert_eq!((size_b, digest), (read.len() as u64, BlobId::of(read.as_bytes())));
        assert_eq!(text(store.read_log(key, Ending::Failed, 7).unwrap()), read[7..]);
        assert!(store.read_log(key, Ending::Succeeded, 0).unwrap().is_none());
    }

    #[test]
    fn a_damaged_log_is_an_error() {
        let (_dir, store) = store();
        let mut writer = store.log_writer(1 << 20).unwrap();
        let noise: Vec<u8> = BlobId::of(b"noise").as_bytes().repeat(7);
        writer.write_all(&noise).unwrap();
        let key = BuildKey::of(b"x");
        writer.finish().unwrap().place(store.paths(), key, Ending::Failed).unwrap();
        let path = store.paths().log(key, Ending::Failed);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let mut read = Vec::new();
        let mut reader = store.read_log(key, Ending::Failed, 0).unwrap().unwrap();
        assert!(reader.read_to_end(&mut read).is_err());
        std::fs::write(&path, &bytes[..middle]).unwrap();
        let mut reader = store.read_log(key, Ending::Failed, 0).unwrap().unwrap();
        assert!(reader.read_to_end(&mut read).is_err());
    }
}
