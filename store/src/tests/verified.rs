//! A flipped bit in any kind of file is found by name, repaired where it can be, and never served.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use kbs_plan::id::BlobId;

use super::{Lab, firmware, log, overwrite, path, record, recorded};
use crate::layout::{Purpose, Variant};
use crate::row::Ending;
use crate::{
    Executable, Finding, OutputRow, Repair, Root, RootKind, Scope, SourceEntry, SourceKind, Store,
    Thing,
};

const LAYER: [u8; 32] = [7; 32];
const IMAGE: [u8; 32] = [9; 32];

/// A store with one thing of each kind.
fn full(store: &Store) -> OutputRow {
    let tree = firmware(store, "mcu");
    let row = store.commit(&record("mcu"), tree, Some(log(store, "CC\n"))).unwrap();
    let mut alias = record("again");
    alias.content = row.record.content;
    store.alias(&alias, row.record.key).unwrap();
    super::history::fail(store, record("broken").key, "no rule to make target\n");
    let file = |executable| SourceKind::File { executable };
    let entries = [
        SourceEntry { path: path("src/main.c"), kind: file(Executable::No) },
        SourceEntry { path: path("run.sh"), kind: file(Executable::Yes) },
    ];
    let read = |number: usize| Ok::<_, Infallible>(format!("source {number}").into_bytes());
    recorded(store, store.ingest_layer(LAYER, &entries, &read, 17));
    image(store, IMAGE, &[("bin/cc", "compiler"), ("lib/libc.a", "library")]);
    let root = Root {
        name: "printer".to_owned(),
        kind: RootKind::Named,
        key: row.record.key,
        created_unix_s: 17,
    };
    store.add_root(&root).unwrap();
    store.set_image_name("arm", "sha256:09").unwrap();
    row
}

/// Puts an unpacked image into its place, as the image room does.
pub(super) fn image(store: &Store, name: [u8; 32], files: &[(&str, &str)]) {
    let top = store.paths().rootfs(name);
    for (name, text) in files {
        let place = top.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, text).unwrap();
        let mode = if name.starts_with("bin") { 0o755 } else { 0o644 };
        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
        crate::disk::set_mtime(&place).unwrap();
    }
    for dir in ["bin", "lib", ""] {
        let dir = top.join(dir);
        if dir.is_dir() {
            fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
            crate::disk::set_mtime(&dir).unwrap();
        }
    }
    store.adopt_image(name, 17).unwrap();
}

pub(super) fn findings(store: &Store, repair: Repair) -> Vec<Finding> {
    store.verify(Scope::Whole, repair, &mut |_| true).unwrap().findings
}

/// Changes the last byte of a file, and nothing else of it.
pub(super) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    overwrite(path, &bytes);
}

#[test]
fn a_sound_store_has_no_findings_and_every_file_is_read_once() {
    let lab = Lab::new();
    let store = lab.open();
    full(&store);
    let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert_eq!(seen.findings, []);
    // Two outputs, a layer, an image; three files of the output, two of each of the others.
    assert_eq!((seen.things, seen.files), (4, 7));
    let sampled = store.verify(Scope::Sample(1), Repair::No, &mut |_| true).unwrap();
    assert_eq!((sampled.things, sampled.findings), (1, Vec::new()));
    let stopped = store.verify(Scope::Whole, Repair::No, &mut |_| false).unwrap();
    assert_eq!(stopped.things, 4);
}

/// Damages one file; expects it to be found by its path, and everything to be well after a repair.
fn is_found(what: &str, damaged: impl FnOnce(&Store, &OutputRow) -> PathBuf) {
    let lab = Lab::new();
    let store = lab.open();
    let row = full(&store);
    let path = damaged(&store, &row);
    flip(&path);
    let told = findings(&store, Repair::No);
    assert!(
        told.iter().any(|finding| finding.path.as_deref() == Some(&path)),
        "{what}: {} is not in {told:#?}",
        path.display()
    );
    assert!(told.iter().all(|finding| finding.done.is_empty()));
    assert_eq!(findings(&store, Repair::No), told, "{what}: telling changes nothing");

    let repaired = findings(&store, Repair::Yes);
    assert!(!repaired.is_empty());
    assert!(repaired.iter().all(|finding| !finding.done.is_empty()), "{what}: {repaired:#?}");
    assert_eq!(findings(&store, Repair::No), [], "{what}");
    assert_eq!(store.sweep().unwrap().things, 0, "{what}");

    // What comes again is whole, and what stayed is what it was.
    let again = full(&store);
    assert_eq!((again.tree, again.record.key), (row.tree, row.record.key), "{what}");
    assert_eq!(findings(&store, Repair::No), [], "{what}");
    let dir = store.output_path(&again);
    assert_eq!(fs::read(dir.join("out/fw.bin")).unwrap(), b"firmware of mcu");
}

#[test]
fn a_flipped_bit_in_an_output() {
    is_found("output", |store, row| store.output_path(row).join("out/fw.bin"));
    is_found("executable output", |store, row| store.output_path(row).join("out/fw.elf"));
}

#[test]
fn a_flipped_bit_in_a_blob() {
    is_found("blob", |store, _| {
        store.paths().blob(BlobId::of(b"firmware of mcu"), Variant::ALL[0])
    });
}

#[test]
fn a_flipped_bit_in_metadata() {
    is_found("metadata", |store, row| store.paths().meta(row.record.key));
    is_found("metadata of an alias", |store, _| store.paths().meta(record("again").key));
    is_found("listing of a layer", |store, _| store.paths().meta_of(Thing::Layer(LAYER)));
    is_found("listing of an image", |store, _| store.paths().meta_of(Thing::Image(IMAGE)));
}

#[test]
fn a_flipped_bit_in_a_layer() {
    is_found("layer", |store, _| store.paths().layer(LAYER).join("src/main.c"));
}

#[test]
fn a_flipped_bit_in_an_image() {
    is_found("image", |store, _| store.paths().rootfs(IMAGE).join("bin/cc"));
    is_found("image", |store, _| store.paths().rootfs(IMAGE).join("lib/libc.a"));
}

#[test]
fn a_flipped_bit_in_a_log() {
    is_found("log", |store, row| store.paths().log(row.record.key, Ending::Succeeded));
    is_found("log of a failure", |store, _| {
        store.paths().log(record("broken").key, Ending::Failed)
    });
}

type Damage<'a> = &'a dyn Fn(&Store, &OutputRow);

#[test]
fn what_is_not_where_it_should_be_is_found() {
    let unlock = |dir: &Path| fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    let damages: [(&str, Damage<'_>); 5] = [
        ("no output", &|store, row| crate::remove_tree(&store.output_path(row)).unwrap()),
        ("no layer", &|store, _| crate::remove_tree(&store.paths().layer(LAYER)).unwrap()),
        ("no image", &|store, _| crate::remove_tree(&store.paths().image(IMAGE)).unwrap()),
        ("a file more", &|store, _| {
            fs::write(store.paths().layer(LAYER).join("src/more.c"), "x").unwrap();
        }),
        ("another mode", &|store, row| {
            let dir = store.output_path(row);
            unlock(&dir);
            fs::set_permissions(dir.join("dict"), Permissions::from_mode(0o600)).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let lab = Lab::new();
        let store = lab.open();
        let row = full(&store);
        damage(&store, &row);
        assert!(!findings(&store, Repair::No).is_empty(), "{what}");
        findings(&store, Repair::Yes);
        assert_eq!(findings(&store, Repair::No), [], "{what}");
        full(&store);
        assert_eq!(findings(&store, Repair::No), [], "{what}");
    }
}

#[test]
fn what_another_file_has_whole_is_restored_from_it() {
    let lab = Lab::new();
    let store = lab.open();
    full(&store);
    // The same bytes as a file of the image that runs, and one that does not.
    image(&store, [1; 32], &[("bin/tool", "many bytes"), ("lib/data", "many bytes")]);
    let place = store.paths().rootfs([1; 32]).join("bin/tool");
    flip(&place);
    let told = findings(&store, Repair::Yes);
    assert!(told.iter().all(|finding| finding.done == "restored"), "{told:#?}");
    assert_eq!(fs::read(&place).unwrap(), b"many bytes");
    assert_eq!(findings(&store, Repair::No), []);
    let blob = store
        .paths()
        .blob(BlobId::of(b"many bytes"), Variant::of(Purpose::Source, Executable::Yes));
    assert_eq!(fs::metadata(blob).unwrap().ino(), fs::metadata(&place).unwrap().ino());
}

#[test]
fn a_root_that_cannot_be_read_stops_collection_and_is_told() {
    let lab = Lab::new();
    let store = lab.open();
    full(&store);
    let roots = store.paths().roots();
    let file = roots.join(super::names_in(&roots).remove(0));
    fs::write(&file, "{").unwrap();
    assert!(store.candidates(17).is_err());
    let told = findings(&store, Repair::Yes);
    assert!(told.iter().any(|finding| finding.path.as_deref() == Some(&file)), "{told:#?}");
    fs::remove_file(file).unwrap();
    assert!(store.candidates(17).is_ok());
}

#[test]
fn images_with_equal_files_share_them() {
    let lab = Lab::new();
    let store = lab.open();
    let shared = "x".repeat(100_000);
    image(&store, [1; 32], &[("bin/cc", &shared), ("lib/one", "one")]);
    let before = store.totals().unwrap();
    image(&store, [2; 32], &[("bin/cc", &shared), ("lib/two", "two")]);
    let totals = store.totals().unwrap();
    assert_eq!((totals.images, totals.images_b), (2, 200_006));
    assert_eq!(totals.blobs_b, before.blobs_b + 3);
    let inode = |name| fs::metadata(store.paths().rootfs(name).join("bin/cc")).unwrap().ino();
    assert_eq!(inode([1; 32]), inode([2; 32]));
    // And what one of them has stays when the other goes.
    let item = crate::Item::Thing(Thing::Image([1; 32]), Vec::new());
    assert_eq!(store.remove(&[item], 17).unwrap().blobs, 1);
    assert_eq!(findings(&store, Repair::No), []);
    assert_eq!(fs::read_to_string(store.paths().rootfs([2; 32]).join("bin/cc")).unwrap(), shared);
    assert!(!store.paths().image([1; 32]).exists());
}

/// What is none of ours is left alone.
#[test]
fn a_foreign_file_among_the_blobs_stops_nobody() {
    let lab = Lab::new();
    let store = lab.open();
    full(&store);
    fs::write(store.paths().blobs().join("README"), "mine").unwrap();
    let swept = store.sweep();
    let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true);
    assert!(swept.is_ok() && seen.is_ok(), "sweep: {swept:?}, verify: {:?}", seen.err());
}

/// One damaged row must not keep everything else from being swept.
#[test]
fn a_damaged_row_does_not_end_a_sweep() {
    let lab = Lab::new();
    let store = lab.open();
    let row = full(&store);
    store
        .db
        .write("damage a row", |txn| {
            let bytes = b"\x02short".as_slice();
            txn.open_table(crate::tables::OUTPUTS)?.insert(row.record.key, bytes)?;
            Ok(())
        })
        .unwrap();
    let swept = store.sweep();
    assert!(swept.is_ok(), "{:?}", swept.unwrap_err());
}
