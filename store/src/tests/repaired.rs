//! What is sound stays, and what can be restored is, whatever happens meanwhile.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{Lab, firmware, log, path, record};
use crate::{Executable, LookUp, SourceEntry, SourceKind, Store};

pub(super) fn commit(store: &Store, name: &str) -> crate::OutputRow {
    let tree = firmware(store, name);
    store.commit(&record(name), &tree, Some(log(store, "CC\n"))).unwrap()
}

pub(super) fn image(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
    unpack(store, name, files);
    store.adopt_image(name, 17).unwrap();
}

/// Puts an unpacked image into its place, as the image room does.
pub(super) fn unpack(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
    let top = store.paths().rootfs(name);
    let mut dirs = std::collections::BTreeSet::from([top.clone()]);
    for (name, bytes) in files {
        let place = top.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        dirs.insert(place.parent().unwrap().to_owned());
        fs::write(&place, bytes).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
        crate::disk::set_mtime(&place).unwrap();
    }
    for dir in dirs {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        crate::disk::set_mtime(&dir).unwrap();
    }
}

pub(super) fn layer(store: &Store, name: u8, text: &str) -> PathBuf {
    let kind = SourceKind::File { executable: Executable::No };
    let entries = [
        SourceEntry { path: path("main.c"), kind: kind.clone() },
        SourceEntry { path: path("other.c"), kind },
    ];
    let read = |number: usize| Ok::<_, Infallible>(format!("{text} {number}").into_bytes());
    store.ingest_layer([name; 32], &entries, &read, 17).unwrap()
}

/// A process that has no more file descriptors knows nothing of an output, and drops it.
#[test]
fn a_process_without_descriptors_drops_no_sound_output() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    layer(&store, 7, "source");
    assert!(store.output(row.record.key).unwrap().found().is_some());
    let limit = rustix::process::Resource::Nofile;
    let mut few = rustix::process::getrlimit(limit);
    few.current = Some(64);
    rustix::process::setrlimit(limit, few).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        open.push(file);
    }
    let found = store.output(row.record.key);
    let layer_there = store.layer([7; 32]);
    drop(open);
    assert!(
        !matches!(found, Ok(LookUp::Dropped { .. })),
        "a sound output was dropped: {found:?}; the layer: {layer_there:?}"
    );
}
