//! Tars built header by header, so that they can say what no packer would.

use std::io::Write as _;

/// One entry, with fields for all that tests play with.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) mtime: u64,
    pub(crate) data: Vec<u8>,
}

impl Entry {
    fn new(name: &[u8], kind: u8, mode: u32) -> Self {
        let name = name.to_vec();
        Self { name, kind, link: Vec::new(), mode, owner: 0, mtime: 7, data: Vec::new() }
    }
}

pub(crate) fn file(name: &str, data: &str) -> Entry {
    Entry { data: data.into(), ..Entry::new(name.as_bytes(), b'0', 0o644) }
}

pub(crate) fn program(name: &str, data: &str) -> Entry {
    Entry { mode: 0o4711, ..file(name, data) }
}

pub(crate) fn dir(name: &str) -> Entry {
    Entry::new(name.as_bytes(), b'5', 0o700)
}

pub(crate) fn symlink(name: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..Entry::new(name.as_bytes(), b'2', 0o777) }
}

pub(crate) fn hard_link(name: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..Entry::new(name.as_bytes(), b'1', 0o644) }
}

pub(crate) fn special(name: &str, kind: u8) -> Entry {
    Entry::new(name.as_bytes(), kind, 0o666)
}

pub(crate) fn raw_name(name: &[u8]) -> Entry {
    Entry::new(name, b'0', 0o644)
}

/// The entries and the end marker.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = open_tar(entries);
    bytes.extend([0; 1024]);
    bytes
}

/// The entries without the end marker.
pub(crate) fn open_tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if entry.name.len() > 100 {
            let long = [entry.name.as_slice(), b"\0"].concat();
            append(&mut bytes, b"././@LongLink", &Entry { data: long, ..special("", b'L') });
        }
        let short = &entry.name[..entry.name.len().min(100)];
        append(&mut bytes, short, entry);
    }
    bytes
}

fn append(bytes: &mut Vec<u8>, name: &[u8], entry: &Entry) {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name);
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.owner).as_bytes());
    put(116, format!("{:07o}", entry.owner).as_bytes());
    put(124, format!("{:011o}", entry.data.len()).as_bytes());
    put(136, format!("{:011o}", entry.mtime).as_bytes());
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &entry.link);
    put(257, b"ustar  ");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes.extend(block);
    bytes.extend(&entry.data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// A pax header for the entry after it.
pub(crate) fn pax(key: &str, value: &str) -> Entry {
    let rest = key.len() + value.len() + 3;
    let length =
        (rest..rest + 9).find(|length| rest + length.to_string().len() == *length).unwrap();
    let data = format!("{length} {key}={value}\n").into_bytes();
    Entry { data, ..special("pax", b'x') }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = xz2::write::XzEncoder::new(Vec::new(), 1);
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
