//! What the store promises as a whole, room by room.

mod blobs;
mod crash;
mod file_systems;
mod history;
mod images;
mod ingested;
mod migrated;
mod model;
mod odd;
mod opening;
mod outputs;
mod power;
mod removal;
mod repaired;
mod rows;
mod sources;
mod verified;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kbs_plan::id::{BuildKey, ConfigHash, ContentKey};
use kbs_plan::path::RelPath;

use crate::{Executable, Ingested, LogFile, NewLayer, OutputRecord, Phase, SourceError, Store};

/// A state directory that goes away with this value.
struct Lab {
    _dir: tempfile::TempDir,
    state: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Outputs are read-only, which stops whoever is not root from removing them plainly.
        drop(crate::remove_tree(&self.state));
    }
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("above/state");
        Self { _dir: dir, state }
    }

    fn open(&self) -> Store {
        Store::open(&self.state).unwrap()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// What a build called `name` leaves: five entries, three files.
fn firmware(store: &Store, name: &str) -> Ingested {
    let mut ingest = store.ingest().unwrap();
    let bin = format!("firmware of {name}");
    ingest.file(path("out/fw.bin"), Executable::No, &mut bin.as_bytes()).unwrap();
    ingest.file(path("out/fw.elf"), Executable::Yes, &mut b"elf".as_slice()).unwrap();
    ingest.file(path("dict"), Executable::No, &mut b"{}".as_slice()).unwrap();
    ingest.symlink(path("latest"), "out/fw.bin".to_owned()).unwrap();
    ingest.finish().unwrap()
}

fn record(name: &str) -> OutputRecord {
    OutputRecord {
        key: BuildKey::of(name.as_bytes()),
        content: ContentKey::of(name.as_bytes()),
        name: name.to_owned(),
        project: "klipper".to_owned(),
        commit: "84104bbb".to_owned(),
        asked_ref: "master".to_owned(),
        version: "v0.13.0-730-g84104bbb".to_owned(),
        config: Some(ConfigHash::of(b"config")),
        usage: crate::Usage::default(),
        toolchain: "sha256:00".to_owned(),
        derivation: "{}".to_owned(),
        created_unix_s: 1_800_000_000,
        who: "uid 1000".to_owned(),
        phases: vec![Phase { name: "build".to_owned(), took_ms: 1200 }],
        warnings: Vec::new(),
        config_differences: Vec::new(),
        marks: BTreeSet::new(),
    }
}

fn log(store: &Store, text: &str) -> LogFile {
    let mut writer = store.log_writer(1 << 20).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

/// Has a layer recorded; returns its directory.
fn recorded<E: std::error::Error>(
    store: &Store,
    layer: Result<NewLayer, SourceError<E>>,
) -> PathBuf {
    let layer = layer.unwrap();
    let dir = layer.dir().to_owned();
    store.record_layers(vec![layer]).unwrap();
    dir
}

fn image(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
    unpack(store, name, files);
    store.adopt_image(name, 17).unwrap();
}

/// Puts an unpacked image into its place, as the image room does.
fn unpack(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
    let top = store.paths().rootfs(name);
    let mut dirs = BTreeSet::from([top.clone()]);
    for (name, bytes) in files {
        let place = top.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        dirs.insert(place.parent().unwrap().to_owned());
        fs::write(&place, bytes).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o644)).unwrap();
        crate::disk::set_mtime(&place).unwrap();
    }
    for dir in dirs {
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        crate::disk::set_mtime(&dir).unwrap();
    }
}

/// Puts other bytes into a file without a trace in its mode and time: what a bad disk does.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    let file = fs::File::open(path).unwrap();
    file.set_permissions(mode).unwrap();
    rustix::fs::futimens(&file, &crate::ingest::fixed_times()).unwrap();
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
