//! Directory trees made of bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, linkat, mkdirat, mknodat, open, openat, symlinkat,
};

/// Things in one tree, at most.
const THINGS: usize = 200;
const MODES: [u32; 8] = [0o644, 0o755, 0o000, 0o111, 0o4755, 0o2700, 0o1777, 0o411];
/// Sizes of files with a hole for a content.
const HOLES_B: [u64; 4] = [70_000, 1 << 20, 1 << 24, 1 << 40];
/// Names that recipes ask for, and the longest one.
const NAMES: [&str; 8] = ["a", "out", ".config", "klipper.elf", "klipper.dict", "b.bin", "…", LONG];
const LONG: &str = concat!(
    "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
    "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
    "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
    "long-long-long."
);

/// Bytes that are handed out piece by piece.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; 0 when there is none.
    pub(super) fn byte(&mut self) -> usize {
        usize::from(self.bytes(1).first().copied().unwrap_or(0))
    }

    /// So many bytes, fewer at the end.
    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn mode(&mut self) -> u32 {
        MODES[self.byte() % MODES.len()]
    }

    fn name(&mut self) -> Vec<u8> {
        let choice = self.byte();
        if let Some(name) = NAMES.get(choice % 16) {
            return name.as_bytes().to_vec();
        }
        let mut name = self.bytes(choice / 16).to_vec();
        for byte in name.iter_mut().filter(|byte| matches!(byte, 0 | b'/')) {
            *byte = b'_';
        }
        if matches!(&name[..], b"" | b"." | b"..") { b"_".to_vec() } else { name }
    }
}

/// What stands somewhere in a tree.
pub(super) enum Thing {
    Directory,
    File {
        content: Content,
        mode: u32,
    },
    /// A link, a pipe or a socket.
    Other,
}

/// What is in a file.
#[derive(Clone)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// So many zeros.
    Hole(u64),
}

impl Content {
    pub(super) fn size_b(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Hole(size_b) => *size_b,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Hole(size_b) => vec![0; usize::try_from(*size_b).expect("asked for small ones")],
        }
    }
}

/// A tree while it is made.
struct Tree<'a, 'i> {
    input: &'a mut Input<'i>,
    /// Where the links lead.
    outside: &'a Path,
    made: BTreeMap<Vec<u8>, Thing>,
    /// The open directories, outermost first, with the modes that they get in the end.
    open: Vec<(OwnedFd, Vec<u8>, u32)>,
}

/// Makes what `input` says below `top`; what cannot be made is left out. Links lead to a file
/// `secret` in `outside`, and elsewhere.
pub(super) fn make(top: &Path, outside: &Path, input: &mut Input<'_>) -> BTreeMap<Vec<u8>, Thing> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(top, flags, Mode::empty()).expect("it was just made");
    let open = vec![(dir, Vec::new(), input.mode())];
    let mut tree = Tree { input, outside, made: BTreeMap::new(), open };
    while !tree.input.0.is_empty() && tree.made.len() < THINGS {
        tree.step();
    }
    while tree.leave() {}
    tree.made
}

impl Tree<'_, '_> {
    fn step(&mut self) {
        match self.input.byte() % 8 {
            0 | 1 => {
                let (name, mode) = (self.input.name(), self.input.mode());
                let content = self.content();
                self.file(&name, content, mode);
            }
            2 => self.enter(),
            3 => {
                if self.open.len() > 1 {
                    self.leave();
                }
            }
            4 => self.link(),
            5 => self.special(),
            6 => self.again(),
            _ => {
                for number in 0..self.input.byte() % 40 {
                    let content = Content::Bytes(b"one of many".to_vec());
                    self.file(format!("{number}.bin").as_bytes(), content, 0o600);
                }
            }
        }
    }

    /// The directory that things are made in, and the path of a name there.
    fn here(&self, name: &[u8]) -> (&OwnedFd, Vec<u8>) {
        let (dir, path, _) = self.open.last().expect("the top stays open");
        let path = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
        (dir, path)
    }

    fn content(&mut self) -> Content {
        let size = self.input.byte();
        match HOLES_B.get(size.wrapping_sub(252)) {
            Some(size_b) => Content::Hole(*size_b),
            None => Content::Bytes(self.input.bytes(size).to_vec()),
        }
    }

    fn file(&mut self, name: &[u8], content: Content, mode: u32) {
        let (dir, path) = self.here(name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(file) = openat(dir, name, flags, Mode::RUSR | Mode::WUSR) else { return };
        let mut file = File::from(file);
        match &content {
            Content::Bytes(bytes) => file.write_all(bytes),
            Content::Hole(size_b) => file.set_len(*size_b),
        }
        .expect("there is room");
        fchmod(&file, Mode::from_raw_mode(mode)).expect("the file is ours");
        self.made.insert(path, Thing::File { content, mode });
    }

    fn enter(&mut self) {
        let (name, mode) = (self.input.name(), self.input.mode());
        let (dir, path) = self.here(&name);
        if mkdirat(dir, &name[..], Mode::RWXU).is_err() {
            return;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner = openat(dir, &name[..], flags, Mode::empty()).expect("it was just made");
        self.made.insert(path.clone(), Thing::Directory);
        self.open.push((inner, path, mode));
    }

    /// Gives the innermost directory its mode; `false` when there is none.
    fn leave(&mut self) -> bool {
        let Some((dir, _, mode)) = self.open.pop() else { return false };
        fchmod(dir, Mode::from_raw_mode(mode)).expect("the directory is ours");
        true
    }

    fn link(&mut self) {
        let (name, choice) = (self.input.name(), self.input.byte());
        let up = || "../".repeat(choice / 8);
        let target = match choice % 8 {
            0 | 1 => self.outside.join("secret"),
            2 => self.outside.to_owned(),
            3 => format!("{}outside/secret", up()).into(),
            4 => format!("{}outside", up()).into(),
            5 => "/proc/self/root".into(),
            _ => Path::new(OsStr::from_bytes(&self.input.name())).to_owned(),
        };
        let (dir, path) = self.here(&name);
        if symlinkat(target, dir, &name[..]).is_ok() {
            self.made.insert(path, Thing::Other);
        }
    }

    fn special(&mut self) {
        let (name, choice) = (self.input.name(), self.input.byte());
        let kind = if choice % 2 == 0 { FileType::Fifo } else { FileType::Socket };
        let (dir, path) = self.here(&name);
        if mknodat(dir, &name[..], kind, Mode::RWXU, 0).is_ok() {
            self.made.insert(path, Thing::Other);
        }
    }

    /// Another name for a file.
    fn again(&mut self) {
        let (name, choice) = (self.input.name(), self.input.byte());
        let files = self.made.iter().filter_map(|(path, thing)| match thing {
            Thing::File { content, mode } => Some((path, content, mode)),
            Thing::Directory | Thing::Other => None,
        });
        let files: Vec<_> = files.collect();
        let Some((old, content, mode)) = files.get(choice % files.len().max(1)) else { return };
        let (content, mode) = ((*content).clone(), **mode);
        let (dir, path) = self.here(&name);
        let top = &self.open[0].0;
        if linkat(top, &old[..], dir, &name[..], AtFlags::empty()).is_ok() {
            self.made.insert(path, Thing::File { content, mode });
        }
    }
}

/// Makes a file that nothing may read, in a directory that nothing may change.
pub(super) fn make_secret(outside: &Path, content: &[u8]) {
    std::fs::create_dir(outside).expect("the directory above is ours");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let secret = openat(CWD, outside.join("secret"), flags, Mode::RUSR).expect("it is new");
    File::from(secret).write_all(content).expect("there is room");
    let dir = File::open(outside).expect("it was just made");
    fchmod(dir, Mode::RUSR | Mode::XUSR).expect("the directory is ours");
}
