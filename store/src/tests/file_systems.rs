//! The same store on file systems that share bytes in different ways.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kbs_plan::id::BlobId;
use tempfile::TempDir;

use super::{firmware, log, path, record, recorded};
use crate::{Executable, Repair, Scope, SourceEntry, SourceKind, Store};

/// A file system of its own, in a file; gone with this value.
pub(super) struct Mounted {
    pub(super) dir: TempDir,
    pub(super) place: PathBuf,
}

impl Mounted {
    /// Makes one, or says why that cannot be had here.
    pub(super) fn make(mkfs: &[&str], size_b: u64) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::File::create(&image).unwrap().set_len(size_b).unwrap();
        run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image))?;
        Self::at(dir)
    }

    /// Mounts the one in `dir`.
    pub(super) fn at(dir: TempDir) -> Result<Self, String> {
        let place = dir.path().join("mounted");
        fs::create_dir_all(&place).unwrap();
        let image = dir.path().join("image");
        run(Command::new("mount").args(["-o", "loop"]).args([&image, &place]))?;
        Ok(Self { dir, place })
    }

    /// The file that it is in.
    pub(super) fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.place)) {
            panic!("{} stays mounted: {error}", self.dir.path().display());
        }
    }
}

pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let ended = command.stdout(Stdio::null()).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("{command:?}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&ended.stderr).trim()))
}

fn used_b(dir: &Path) -> u64 {
    rustix::fs::syncfs(fs::File::open(dir).unwrap()).unwrap();
    let stat = rustix::fs::statvfs(dir).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

/// Bytes that no file system can make smaller.
pub(super) fn noise(seed: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block = BlobId::of(&[seed]);
    while bytes.len() < 8 << 20 {
        bytes.extend_from_slice(block.as_bytes());
        block = BlobId::of(block.as_bytes());
    }
    bytes
}

/// What a store does, and how much room equal source files need.
fn lives(on: &Path, can_share: bool) {
    let state = on.join("state");
    let store = Store::open(&state).unwrap();
    assert_eq!(store.can_share_bytes(), can_share);
    let tree = firmware(&store, "mcu");
    let row = store.commit(&record("mcu"), tree, Some(log(&store, "CC\n"))).unwrap();

    let bytes = noise(1);
    let layer = |name: u8| {
        let kind = SourceKind::File { executable: Executable::No };
        let entries = [SourceEntry { path: path(&format!("file-{name}")), kind }];
        let read = |_| Ok::<_, Infallible>(bytes.clone());
        recorded(&store, store.ingest_layer([name; 32], &entries, &read, 17))
    };
    let first = layer(1);
    let before_b = used_b(on);
    let second = layer(2);
    let grown_b = used_b(on).saturating_sub(before_b);
    if can_share {
        assert!(grown_b < 4 << 20, "an equal file needed {grown_b} bytes more");
    } else {
        assert!(grown_b > 4 << 20, "without sharing it cannot have needed {grown_b} bytes");
    }
    for (dir, name) in [(&first, "file-1"), (&second, "file-2")] {
        assert_eq!(fs::metadata(dir.join(name)).unwrap().nlink(), 1);
        assert_eq!(fs::read(dir.join(name)).unwrap(), bytes);
    }
    // What layers share bytes with stays for the next one, as long as they do.
    let blob = BlobId::of(&bytes);
    store.sweep().unwrap();
    assert_eq!(store.read_blob(blob).is_ok(), can_share);
    let layers = [[1; 32], [2; 32]].map(|it| crate::Item::Thing(crate::Thing::Layer(it), vec![]));
    assert_eq!(store.remove(&layers, 17).unwrap().things, 2);
    store.sweep().unwrap();
    assert!(store.read_blob(blob).is_err());

    drop(store);
    let store = Store::open(&state).unwrap();
    assert_eq!(store.output(row.record.key).unwrap().found(), Some(row));
    let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert_eq!(seen.findings, []);
    drop(store);
    fs::remove_file(state.join("kbs.redb")).unwrap();
    assert_eq!(Store::open(&state).unwrap().outputs().unwrap().len(), 1);
}

#[expect(clippy::print_stderr, reason = "nobody may think that this was tried")]
fn lives_on(mkfs: &[&str], size_b: u64, can_share: bool) {
    match Mounted::make(mkfs, size_b) {
        Ok(mounted) => lives(&mounted.place, can_share),
        Err(why) => eprintln!("SKIPPED the store on {}: {why}", mkfs[0]),
    }
}

#[test]
fn on_btrfs_equal_files_share_their_bytes() {
    lives_on(&["mkfs.btrfs", "-q"], 256 << 20, true);
}

#[test]
fn on_xfs_equal_files_share_their_bytes() {
    lives_on(&["mkfs.xfs", "-q"], 512 << 20, true);
}

#[test]
fn on_ext4_layers_are_shared_and_files_are_not() {
    lives_on(&["mkfs.ext4", "-q"], 256 << 20, false);
}

#[test]
fn in_memory_layers_are_shared_and_files_are_not() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    lives(dir.path(), false);
    crate::remove_tree(dir.path()).unwrap();
}

#[test]
#[expect(clippy::print_stderr, reason = "nobody may think that this was tried")]
fn a_full_file_system_can_be_collected() {
    let mounted = match Mounted::make(&["mkfs.ext4", "-q"], 64 << 20) {
        Ok(mounted) => mounted,
        Err(why) => return eprintln!("SKIPPED a collection on a full disk: {why}"),
    };
    let store = Store::open(&mounted.place.join("state")).unwrap();
    for number in 0..20 {
        let name = format!("mcu-{number}");
        let tree = firmware(&store, &name);
        store.commit(&record(&name), tree, None).unwrap();
    }
    let mut filler = fs::File::create(mounted.place.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[7; 4096]).is_ok() {}
    drop(filler);
    let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
    assert_eq!(store.remove(&items, 17).unwrap().things, 20);
}
