//! Source trees: made once, shared, never read twice.

use std::cell::Cell;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use kbs_plan::id::{BlobId, TreeId};

use super::{Lab, names_in, path};
use crate::layout::{Purpose, Variant};
use crate::{Executable, SourceEntry, SourceError, SourceKind, Store};

type Entry<'a> = Result<SourceEntry<'a, Infallible>, Infallible>;

/// A file with the git id `[oid; 20]`, which counts how often it is read; a script is executable.
#[expect(clippy::unnecessary_wraps, reason = "as the iterator has it")]
fn file<'a>(name: &str, oid: u8, bytes: &'a [u8], reads: &'a Cell<u32>) -> Entry<'a> {
    let executable = Executable::of(bytes.starts_with(b"#!"));
    let read = Box::new(move || {
        reads.set(reads.get() + 1);
        Ok(bytes.to_vec())
    });
    let kind = SourceKind::File { executable, git_oid: Some([oid; 20]), read };
    Ok(SourceEntry { path: path(name), kind })
}

fn entries(reads: &Cell<u32>) -> Vec<Entry<'_>> {
    vec![
        file("src/main.c", 1, b"int main;", reads),
        file("scripts/build.sh", 2, b"#!/bin/sh", reads),
        Ok(SourceEntry {
            path: path("link"),
            kind: SourceKind::Symlink { target: "../outside".to_owned() },
        }),
        Ok(SourceEntry { path: path("empty"), kind: SourceKind::Directory }),
    ]
}

fn stored(store: &Store, entries: Vec<Entry<'_>>) -> (TreeId, PathBuf) {
    store.ingest_source(&mut entries.into_iter()).unwrap()
}

#[test]
fn a_source_tree_has_the_modes_of_a_checkout() {
    let lab = Lab::new();
    let store = lab.open();
    let reads = Cell::new(0);
    let (tree, dir) = stored(&store, entries(&reads));
    assert_eq!(store.source(tree), Some(dir.clone()));
    assert_eq!(store.source(TreeId::of(b"other")), None);
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
    assert_eq!(store.blob_bytes(BlobId::of(b"int main;")).unwrap(), b"int main;");
    assert!(names_in(&store.paths().scratch()).is_empty());
}

#[test]
fn known_git_objects_are_not_read_again() {
    let lab = Lab::new();
    let store = lab.open();
    let reads = Cell::new(0);
    let (first, first_dir) = stored(&store, entries(&reads));
    assert_eq!(reads.get(), 2);
    assert_eq!(stored(&store, entries(&reads)), (first, first_dir.clone()));
    assert_eq!(reads.get(), 2);

    let mut more = entries(&reads);
    more.push(file("src/more.c", 3, b"int more;", &reads));
    let (second, second_dir) = stored(&store, more);
    assert_eq!(reads.get(), 3);
    assert_ne!(first, second);
    let links = |dir: &PathBuf| fs::metadata(dir.join("src/main.c")).unwrap().nlink();
    assert_eq!((links(&first_dir), links(&second_dir)), (1, 1), "a build would see other trees");

    // Known, but needed with another mode.
    let mut other_mode = file("main.c", 1, b"int main;", &reads);
    if let Ok(SourceEntry { kind: SourceKind::File { executable, .. }, .. }) = &mut other_mode {
        *executable = Executable::Yes;
    }
    stored(&store, vec![other_mode]);
    assert_eq!(reads.get(), 4);
}

#[test]
fn equal_files_of_a_source_are_files_of_their_own() {
    let lab = Lab::new();
    let store = lab.open();
    let reads = Cell::new(0);
    let mut twice = entries(&reads);
    twice.push(file("src/twin.c", 1, b"int main;", &reads));
    let (_, dir) = stored(&store, twice);
    let [one, other] =
        ["src/main.c", "src/twin.c"].map(|name| fs::metadata(dir.join(name)).unwrap());
    assert_ne!(one.ino(), other.ino());
    assert_eq!((one.nlink(), one.mode(), one.mtime()), (1, other.mode(), other.mtime()));
    assert_eq!(fs::read(dir.join("src/twin.c")).unwrap(), b"int main;");
}

#[test]
fn what_was_deleted_is_read_again() {
    let lab = Lab::new();
    let store = lab.open();
    let reads = Cell::new(0);
    let (tree, dir) = stored(&store, entries(&reads));
    crate::remove_tree(&dir).unwrap();
    assert_eq!(store.source(tree), None);
    let variant = Variant::of(Purpose::Source, Executable::No);
    fs::remove_file(store.paths().blob(BlobId::of(b"int main;"), variant)).unwrap();
    assert_eq!(stored(&store, entries(&reads)), (tree, dir.clone()));
    assert_eq!(reads.get(), 3);
    assert_eq!(fs::read(dir.join("src/main.c")).unwrap(), b"int main;");
}

#[test]
fn the_callers_error_comes_back_and_nothing_is_there() {
    let lab = Lab::new();
    let store = lab.open();
    let bad_read = SourceKind::File {
        executable: Executable::No,
        git_oid: None,
        read: Box::new(|| Err(io::Error::other("no such object"))),
    };
    let torn = [
        vec![Ok(SourceEntry { path: path("a"), kind: bad_read })],
        vec![
            Ok(SourceEntry { path: path("a"), kind: SourceKind::Directory }),
            Err(io::Error::other("no such object")),
        ],
    ];
    for entries in torn {
        let error = store.ingest_source(&mut entries.into_iter()).unwrap_err();
        assert!(matches!(&error, SourceError::Entry(_)));
        assert_eq!(error.to_string(), "no such object");
    }
    let reads = Cell::new(0);
    let through_a_link = vec![
        Ok(SourceEntry { path: path("a"), kind: SourceKind::Symlink { target: "/".to_owned() } }),
        file("a/etc/passwd", 1, b"x", &reads),
    ];
    let error = store.ingest_source(&mut through_a_link.into_iter()).unwrap_err();
    assert!(matches!(error, SourceError::Store(_)));
    assert!(names_in(&store.paths().sources()).is_empty());
    assert!(names_in(&store.paths().scratch()).is_empty());
}
