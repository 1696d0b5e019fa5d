//! Source layers: made once, every file by itself, refused whole.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Lab, names_in, path, recorded};
use crate::tables::LAYERS;
use crate::{Executable, NewLayer, SourceEntry, SourceError, SourceKind, Store, StoreError, Thing};

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

fn made(store: &Store, name: [u8; 32]) -> NewLayer {
    let (entries, bytes) = layer();
    let read = |number: usize| Ok::<_, Infallible>(bytes[number].to_vec());
    store.ingest_layer(name, &entries, &read, 17).unwrap()
}

fn stored(store: &Store, name: [u8; 32]) -> PathBuf {
    recorded::<Infallible>(store, Ok(made(store, name)))
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

/// "What … running work holds stays": the directory of a layer goes from under a build that holds it
/// as soon as another request finds one of its files damaged.
#[test]
fn a_layer_that_others_hold_is_not_deleted_by_making_it_again() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = stored(&store, [7; 32]);
    // Of who makes it again, and of a build.
    let _leases = [(); 2].map(|()| store.lease(Thing::Layer([7; 32])));
    // What a running build has: the directory, open (an overlay's lower layer).
    let held = cap_std::fs::Dir::open_ambient_dir(&dir, cap_std::ambient_authority()).unwrap();
    super::overwrite(&dir.join("src/main.c"), b"int Main;");
    assert_eq!(store.layer([7; 32]).unwrap(), None);
    stored(&store, [7; 32]);
    assert!(held.exists("src/twin.c"), "a sound file of a layer in use was deleted");
}

/// A file that others share bytes with may go while a layer is being made.
#[test]
fn a_sweep_does_not_make_an_ingest_fail() {
    let dir = tempfile::tempdir().unwrap();
    let (file, place) = (dir.path().join("image"), dir.path().join("mounted"));
    fs::File::create(&file).unwrap().set_len(512 << 20).unwrap();
    fs::create_dir(&place).unwrap();
    let run = |command: &mut Command| command.output().is_ok_and(|it| it.status.success());
    if !(run(Command::new("mkfs.btrfs").arg("-q").arg(&file))
        || run(Command::new("mkfs.xfs").arg("-q").arg(&file)))
        || !run(Command::new("mount").args(["-o", "loop"]).args([&file, &place]))
    {
        return;
    }
    let told = {
        let store = Store::open(&place.join("state")).unwrap();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    store.sweep().unwrap();
                }
            });
            let until = Instant::now() + Duration::from_secs(20);
            let mut told = None;
            for number in 0.. {
                let text = format!("{number}").repeat(20_000);
                let kind = SourceKind::File { executable: Executable::No };
                let entries: Vec<_> = (0..16)
                    .map(|it| SourceEntry { path: path(&format!("f{it}")), kind: kind.clone() })
                    .collect();
                let read = |_| Ok::<_, Infallible>(text.clone().into_bytes());
                let made = store.ingest_layer([9; 32], &entries, &read, 17);
                let made = made.map_err(|error| format!("{error:?}"));
                let recorded = made.and_then(|layer| {
                    store.record_layers(vec![layer]).map_err(|error| format!("{error:?}"))
                });
                if let Err(error) = recorded {
                    told = Some(error);
                    break;
                }
                if Instant::now() > until {
                    break;
                }
            }
            ended.store(true, Ordering::SeqCst);
            told
        })
    };
    run(Command::new("umount").arg("-l").arg(&place));
    assert_eq!(told, None);
}

/// Sources of an older layout are in use by kept work trees.
#[test]
fn a_sweep_leaves_what_is_leased() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = store.paths().layer([5; 32]);
    fs::create_dir(&dir).unwrap();
    let _lease = store.lease(Thing::Layer([5; 32]));
    store.sweep().unwrap();
    assert!(dir.exists(), "a leased directory was swept");
}

/// What a build may use before the disk has it, and nobody else may find.
#[test]
fn a_new_layer_is_there_for_its_maker_only() {
    let lab = Lab::new();
    let store = lab.open();
    let (kept, left) = (made(&store, [1; 32]), made(&store, [2; 32]));
    assert_eq!(fs::read(kept.dir().join("src/main.c")).unwrap(), b"int main;");
    assert_eq!(store.layer([1; 32]).unwrap(), None);
    assert_eq!(names_in(&store.paths().metas()), [""; 0], "nothing speaks of it");
    store.sweep().unwrap();
    assert!(kept.dir().join("src/main.c").exists(), "a layer in use was swept");
    let (dir, forgotten) = (kept.dir().to_owned(), left.dir().to_owned());
    store.record_layers(vec![kept]).unwrap();
    assert_eq!(store.layer([1; 32]).unwrap(), Some(dir.clone()));
    // The daemon sweeps when it opens a directory that has litter.
    drop(left);
    drop(store);
    assert!(lab.state.join("open").exists(), "nobody would sweep");
    let store = lab.open();
    store.sweep().unwrap();
    assert!(!forgotten.exists() && dir.exists());
}

/// Were its row or its listing believed after a power cut, files would be that were never synced.
#[test]
fn what_a_new_layer_replaces_is_forgotten_first() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = stored(&store, [1; 32]);
    super::overwrite(&dir.join("src/twin.c"), b"int Main;");
    let again = made(&store, [1; 32]);
    assert_eq!(store.totals().unwrap().layers, 0);
    assert_eq!(names_in(&store.paths().metas()), [""; 0]);
    store.record_layers(vec![again]).unwrap();
    assert_eq!(store.layer([1; 32]).unwrap(), Some(dir));
}

/// A build whose sources the disk refused goes on for a while, and holds them.
#[test]
fn a_sweep_remembers_litter_that_is_still_in_use() {
    let lab = Lab::new();
    let store = lab.open();
    let lease = store.lease(Thing::Layer([1; 32]));
    let layer = made(&store, [1; 32]);
    let dir = layer.dir().to_owned();
    drop(layer);
    store.sweep().unwrap();
    assert!(dir.exists(), "a build uses it");
    drop(lease);
    drop(store);
    assert!(lab.state.join("open").exists(), "nobody would sweep");
}

#[test]
fn layers_are_recorded_together_and_are_no_litter_then() {
    let lab = Lab::new();
    let store = lab.open();
    let layers = (0..70).map(|name| made(&store, [name; 32])).collect();
    store.record_layers(layers).unwrap();
    assert_eq!(store.totals().unwrap().layers, 70);
    assert!((0..70).all(|name| store.layer([name; 32]).unwrap().is_some()));
    drop(store);
    assert!(!lab.state.join("open").exists(), "the next one would sweep for nothing");
}

#[test]
fn a_row_that_cannot_be_read_is_forgotten_before_its_layer_is_made_again() {
    let lab = Lab::new();
    let store = lab.open();
    let damage = |txn: &redb::WriteTransaction| {
        txn.open_table(LAYERS)?.insert(&[1; 32], b"\x01short".as_slice())?;
        Ok(())
    };
    store.db.write("damage a row", damage).unwrap();
    let made = made(&store, [1; 32]);
    assert!(store.tree_row(Thing::Layer([1; 32])).unwrap().is_none());
    store.record_layers(vec![made]).unwrap();
    assert!(store.layer([1; 32]).unwrap().is_some());
}
