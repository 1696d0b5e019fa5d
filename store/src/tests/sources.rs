//! Source layers: made once, every file by itself, refused whole.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Lab, names_in, path};
use crate::{Executable, SourceEntry, SourceError, SourceKind, Store, StoreError, Thing};

fn entry(name: &str, kind: SourceKind) -> SourceEntry {
    SourceEntry { path: path(name), kind }
}

const PLAIN: SourceKind = SourceKind::File { executable: Executable::No };

/// A layer, and the bytes of each of its entries.
fn layer() -> (Vec<SourceEntry>, Vec<&'static [u8]>) {
    let script = SourceKind::File { executable: Executable::Yes };
    let entries = vec![
        entry("src/main.c", PLAIN),
        entry("src/twin.c", PLAIN),
        entry("scripts/build.sh", script),
        entry("link", SourceKind::Symlink { target: "../outside".to_owned() }),
        entry("empty", SourceKind::Directory),
    ];
    (entries, vec![b"int main;", b"int main;", b"#!/bin/sh", b"", b""])
}

fn stored(store: &Store, name: [u8; 32]) -> PathBuf {
    let (entries, bytes) = layer();
    let read = |number: usize| Ok::<_, Infallible>(bytes[number].to_vec());
    store.ingest_layer(name, &entries, &read, 17).unwrap()
}

#[test]
fn a_layer_has_the_modes_of_a_checkout() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = stored(&store, [1; 32]);
    assert_eq!(store.layer([1; 32]).unwrap(), Some(dir.clone()));
    assert_eq!(store.layer([2; 32]).unwrap(), None);
    for (name, mode) in [
        ("", 0o755),
        ("empty", 0o755),
        ("src", 0o755),
        ("src/main.c", 0o644),
        ("scripts/build.sh", 0o755),
        ("link", 0o777),
    ] {
        let found = fs::symlink_metadata(dir.join(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (mode, 1), "{name}");
    }
    assert_eq!(fs::read_link(dir.join("link")).unwrap().to_str(), Some("../outside"));
    assert!(names_in(&store.paths().scratch()).is_empty());
    let listing = store.listing(Thing::Layer([1; 32])).unwrap().unwrap();
    assert_eq!((listing.len(), listing.size_b()), (7, 27));
    let totals = store.totals().unwrap();
    assert_eq!((totals.layers, totals.layers_b, totals.blobs), (1, 27, 0));
}

#[test]
fn every_file_of_a_layer_has_one_name() {
    let lab = Lab::new();
    let store = lab.open();
    let (one, other) = (stored(&store, [1; 32]), stored(&store, [2; 32]));
    let facts = |dir: &PathBuf, name: &str| fs::metadata(dir.join(name)).unwrap();
    let files = [facts(&one, "src/main.c"), facts(&one, "src/twin.c"), facts(&other, "src/main.c")];
    assert!(files.iter().all(|facts| facts.nlink() == 1), "a build would see other trees");
    assert_ne!(files[0].ino(), files[1].ino());
    assert_eq!(fs::read(one.join("src/twin.c")).unwrap(), b"int main;");
}

#[test]
fn what_is_damaged_is_not_handed_out() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = stored(&store, [1; 32]);
    super::overwrite(&dir.join("src/twin.c"), b"int Main;");
    assert_eq!(store.layer([1; 32]).unwrap(), None);
    assert_eq!(stored(&store, [1; 32]), dir);
    assert_eq!(store.layer([1; 32]).unwrap(), Some(dir.clone()));
    assert_eq!(fs::read(dir.join("src/twin.c")).unwrap(), b"int main;");
}

#[test]
fn what_was_deleted_is_made_again() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = stored(&store, [1; 32]);
    crate::remove_tree(&dir).unwrap();
    assert_eq!(store.layer([1; 32]).unwrap(), None);
    assert_eq!(stored(&store, [1; 32]), dir);
    assert_eq!(fs::read(dir.join("src/main.c")).unwrap(), b"int main;");
    assert_eq!(store.totals().unwrap().layers, 1);
    // And what is in the way without being known.
    drop(store);
    fs::remove_file(lab.state.join("kbs.redb")).unwrap();
    fs::remove_dir_all(lab.state.join("meta")).unwrap();
    let store = lab.open();
    assert_eq!(store.layer([1; 32]).unwrap(), None);
    assert_eq!(stored(&store, [1; 32]), dir);
}

#[test]
fn the_callers_error_comes_back_and_nothing_is_there() {
    let lab = Lab::new();
    let store = lab.open();
    let entries: Vec<_> = (0..100).map(|n| entry(&format!("file-{n:03}"), PLAIN)).collect();
    let read = AtomicUsize::new(0);
    let error = store
        .ingest_layer(
            [1; 32],
            &entries,
            &|number| {
                read.fetch_add(1, Ordering::SeqCst);
                if number == 7 { Err(io::Error::other("no such object")) } else { Ok(vec![1]) }
            },
            17,
        )
        .unwrap_err();
    assert!(matches!(&error, SourceError::Entry(_)));
    assert_eq!(error.to_string(), "no such object");
    assert!(read.into_inner() < 100);

    for (outer, inner) in [("a", "a/etc/passwd"), ("a", "a")] {
        let through_a_link =
            [entry(outer, SourceKind::Symlink { target: "/".to_owned() }), entry(inner, PLAIN)];
        let error = store
            .ingest_layer([1; 32], &through_a_link, &|_| Ok::<_, Infallible>(vec![1]), 17)
            .unwrap_err();
        assert!(matches!(error, SourceError::Store(StoreError::Tree(_))));
    }
    assert!(names_in(&store.paths().sources()).is_empty());
    assert!(names_in(&store.paths().scratch()).is_empty());
    assert_eq!(store.layer([1; 32]).unwrap(), None);
}
