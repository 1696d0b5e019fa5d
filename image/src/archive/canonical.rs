//! The one tar that a tree stands for, so that equal trees have equal digests.
//!
//! Entries in byte order of their paths; owner 0, no names, modification time 1; directories and
//! executable files 0755, other files 0644; every name of a hard-linked file holds the bytes;
//! ustar headers, with a pax record only for what ustar cannot hold; two zero blocks at the end.

use std::io::{self, Read, Write};

use kbs_plan::path::RelPath;

use super::staged::MTIME;
use crate::digest::{Digest, Hashing};

const BLOCK_B: usize = 512;
/// The largest size that the eleven octal digits of a header can say.
const OCTAL_SIZE_MAX_B: u64 = 0o777_7777_7777;

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The digest of its canonical tar.
    pub(crate) digest: Digest,
    /// The size of that tar in bytes.
    pub(crate) tar_b: u64,
    /// The number of files.
    pub(crate) files: u64,
    /// The sum of their sizes in bytes.
    pub(crate) size_b: u64,
}

/// Writes the canonical tar; the caller keeps the order.
#[derive(Debug)]
pub(crate) struct Canonical<W> {
    tar: Hashing<W>,
    files: u64,
    size_b: u64,
}

/// What an entry is, with what its header says of it.
#[derive(Debug, Clone, Copy)]
enum Header<'a> {
    Directory,
    Symlink(&'a str),
    File { executable: bool, size_b: u64 },
}

impl<W: Write> Canonical<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { tar: Hashing::new(sink), files: 0, size_b: 0 }
    }

    pub(crate) fn directory(&mut self, path: &RelPath) -> io::Result<()> {
        self.header(path, Header::Directory)
    }

    pub(crate) fn symlink(&mut self, path: &RelPath, target: &str) -> io::Result<()> {
        self.header(path, Header::Symlink(target))
    }

    /// Adds a file while `consume` reads it: it is given the bytes of `data` as they are hashed.
    ///
    /// `data` must yield `size_b` bytes and `consume` must take them all.
    pub(crate) fn file(
        &mut self,
        path: &RelPath,
        (executable, size_b): (bool, u64),
        data: &mut dyn Read,
        consume: impl FnOnce(&mut dyn Read) -> io::Result<u64>,
    ) -> io::Result<()> {
        self.header(path, Header::File { executable, size_b })?;
        let consumed = consume(&mut Tee { data: (&mut *data).take(size_b), copy: &mut self.tar })?;
        if consumed != size_b || data.read(&mut [0])? != 0 {
            return Err(io::Error::other("the file changed while it was read"));
        }
        self.pad(size_b)?;
        self.files += 1;
        self.size_b += size_b;
        Ok(())
    }

    /// The number of files so far and the sum of their sizes in bytes.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.files, self.size_b)
    }

    pub(crate) fn finish(mut self) -> io::Result<Contents> {
        self.tar.write_all(&[0; 2 * BLOCK_B])?;
        self.tar.flush()?;
        let (digest, tar_b) = self.tar.finish();
        Ok(Contents { digest, tar_b, files: self.files, size_b: self.size_b })
    }

    fn header(&mut self, path: &RelPath, header: Header<'_>) -> io::Result<()> {
        let (kind, mode, size_b, target) = match header {
            Header::Directory => (b'5', 0o755, 0, ""),
            Header::Symlink(target) => (b'2', 0o777, 0, target),
            Header::File { executable: true, size_b } => (b'0', 0o755, size_b, ""),
            Header::File { executable: false, size_b } => (b'0', 0o644, size_b, ""),
        };
        let name = if kind == b'5' { format!("{path}/") } else { path.to_string() };
        let split = split_name(&name);
        let short_target = target.is_ascii() && target.len() <= 100;

        let mut records = Vec::new();
        if split.is_none() {
            pax_record(&mut records, "path", &name);
        }
        if !short_target {
            pax_record(&mut records, "linkpath", target);
        }
        if size_b > OCTAL_SIZE_MAX_B {
            pax_record(&mut records, "size", &size_b.to_string());
        }
        if !records.is_empty() {
            let length = records.len() as u64;
            self.tar.write_all(&ustar(b'x', ("", "pax"), 0o644, length, ""))?;
            self.tar.write_all(&records)?;
            self.pad(length)?;
        }
        let target = if short_target { target } else { "" };
        let size_b = if size_b > OCTAL_SIZE_MAX_B { 0 } else { size_b };
        self.tar.write_all(&ustar(kind, split.unwrap_or(("", "pax")), mode, size_b, target))
    }

    fn pad(&mut self, size_b: u64) -> io::Result<()> {
        let over = usize::try_from(size_b % BLOCK_B as u64).expect("less than a block");
        let padding = if over == 0 { 0 } else { BLOCK_B - over };
        self.tar.write_all(&[0; BLOCK_B][..padding])
    }
}

/// Parts a name into the prefix and name fields of a ustar header: the shortest prefix that fits.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some(("", name));
    }
    name.match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(prefix, rest)| prefix.len() <= 155 && (1..=100).contains(&rest.len()))
}

/// Appends `<length> <key>=<value>\n`, whose length counts its own digits.
fn pax_record(records: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

fn ustar(
    kind: u8,
    (prefix, name): (&str, &str),
    mode: u32,
    size_b: u64,
    target: &str,
) -> [u8; BLOCK_B] {
    let mut block = [0; BLOCK_B];
    let mut put = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size_b:011o}"));
    put(136, &format!("{:011o}", MTIME.last_modification.tv_sec));
    put(148, "        ");
    put(157, target);
    put(257, "ustar");
    put(263, "00");
    put(329, "0000000");
    put(337, "0000000");
    put(345, prefix);
    block[156] = kind;
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Reads `data` and writes what was read to `copy`.
struct Tee<'a, R, W> {
    data: R,
    copy: &'a mut W,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(into)?;
        self.copy.write_all(&into[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn other_programs_read_what_is_hashed() {
        let long = format!("{}/{}", "d".repeat(150), "f".repeat(99));
        let longer = format!("{}/{}", "d".repeat(200), "f".repeat(200));
        let target = "t".repeat(101);
        let mut canonical = Canonical::new(Vec::new());
        canonical.directory(&path("dir")).unwrap();
        for name in ["dir/x", "grüße", &long, &longer] {
            let copied = canonical.file(&path(name), (true, 3), &mut b"abc".as_slice(), |data| {
                io::copy(data, &mut io::sink())
            });
            copied.unwrap();
        }
        canonical.symlink(&path("link"), &target).unwrap();
        assert_eq!(canonical.so_far(), (4, 12));
        canonical.tar.write_all(&[0; 1024]).unwrap();

        let bytes = canonical.tar.into_inner();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name_bytes().map_or(0, |target| target.len());
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 1));
            let mode = header.mode().unwrap();
            (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), mode, text, link)
        });
        let program = |name: &str| (name.to_owned(), 0o755, "abc".to_owned(), 0);
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                ("dir/".to_owned(), 0o755, String::new(), 0),
                program("dir/x"),
                program("grüße"),
                program(&long),
                program(&longer),
                ("link".to_owned(), 0o777, String::new(), 101),
            ]
        );
    }

    #[test]
    fn a_file_that_changes_size_is_an_error() {
        for (size_b, data) in [(4, "abc"), (2, "abc")] {
            let mut canonical = Canonical::new(io::sink());
            let shape = (false, size_b);
            let copied = canonical.file(&path("x"), shape, &mut data.as_bytes(), |data| {
                io::copy(data, &mut io::sink())
            });
            assert!(copied.is_err(), "{size_b}");
        }
    }
}
