//! What is sound stays, and what can be restored is, whatever happens meanwhile.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kbs_plan::id::BlobId;

use super::verified::{findings, flip};
use super::{Lab, firmware, log, path, record, recorded};
use crate::layout::Variant;
use crate::meta::OutputMeta;
use crate::policy::Item;
use crate::row::Ending;
use crate::{Executable, LookUp, Repair, Scope, SourceEntry, SourceKind, Store, Thing};

pub(super) fn commit(store: &Store, name: &str) -> crate::OutputRow {
    let tree = firmware(store, name);
    store.commit(&record(name), tree, Some(log(store, "CC\n"))).unwrap()
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
    recorded(store, store.ingest_layer([name; 32], &entries, &read, 17))
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
    let twin = store.paths().scratch().join("twin");
    fs::write(&twin, "firmware of mcu").unwrap();
    let name = (BlobId::of(b"firmware of mcu"), Variant::ALL[0]);
    let inode = || fs::metadata(store.paths().blob(name.0, name.1)).unwrap().ino();
    let blob = inode();
    let mut open = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        open.push(file);
    }
    let found = store.output(row.record.key);
    let layer_there = store.layer([7; 32]);
    let named = store.name_blob(&twin, name);
    drop(open);
    assert!(named.is_err(), "nobody could tell whether the blob is sound");
    assert_eq!(inode(), blob, "a sound blob was replaced");
    assert!(
        !matches!(found, Ok(LookUp::Dropped { .. })),
        "a sound output was dropped: {found:?}; the layer: {layer_there:?}"
    );
}

/// One step, so that a kill leaves the one or the other.
#[test]
fn a_damaged_log_goes_and_nothing_else_of_its_output() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let key = row.record.key;
    let known = store.lookup(key).unwrap();
    let (log, meta) = (store.paths().log(key, Ending::Succeeded), store.paths().meta(key));
    let written = fs::read(&meta).unwrap();
    flip(&log);
    assert_eq!(findings(&store, Repair::Yes).len(), 1);
    assert!(!log.exists());
    assert_eq!((store.lookup(key).unwrap(), fs::read(&meta).unwrap()), (known, written));
    assert_eq!(findings(&store, Repair::No), []);
    assert!(store.read_log(key, Ending::Succeeded, 0).unwrap().is_none());
    assert!(matches!(store.output(key).unwrap(), LookUp::Found(_)));
}

/// A failure that comes again while the logs are read is not damaged.
#[test]
fn a_log_of_a_failure_that_came_again_is_not_forgotten() {
    let lab = Lab::new();
    let store = lab.open();
    let key = record("broken").key;
    for number in 0..400 {
        super::history::fail(&store, record(&format!("broken-{number}")).key, "x\n");
    }
    super::history::fail(&store, key, "first\n");
    let ended = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !ended.load(Ordering::SeqCst) {
                number += 1;
                super::history::fail(&store, key, &format!("again {number}\n"));
            }
        });
        let told: Vec<_> = (0..5).flat_map(|_| findings(&store, Repair::Yes)).collect();
        ended.store(true, Ordering::SeqCst);
        told
    });
    assert_eq!(told, [], "nothing was ever damaged");
}

/// A build may have put a sound blob in the place of the damaged one meanwhile, and linked it.
#[test]
fn a_repair_leaves_what_was_made_again_meanwhile() {
    let lab = Lab::new();
    let store = lab.open();
    let first = commit(&store, "mcu");
    let id = BlobId::of(b"firmware of mcu");
    let blob = store.paths().blob(id, Variant::ALL[0]);
    flip(&blob);
    let mut ingested = None;
    let seen = store.verify(Scope::Whole, Repair::Yes, &mut |seen| {
        // After the blobs were read, and before anything is done about them: another build.
        if seen.files > 0 && ingested.is_none() {
            let mut ingest = store.ingest().unwrap();
            let mut bytes = b"firmware of mcu".as_slice();
            ingest.file(path("same.bin"), Executable::No, &mut bytes).unwrap();
            ingested = Some(ingest.finish().unwrap());
        }
        true
    });
    let seen = seen.unwrap();
    let other = store.commit(&record("other"), ingested.unwrap(), None).unwrap();
    // Links are what is counted: the blob stays as long as the new output does.
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let file = store.output_path(&other).join("same.bin");
    assert_eq!(inode(&file), inode(&blob), "a sound blob was replaced: {:#?}", seen.findings);
    store.remove(&[Item::Thing(Thing::Output(first.record.key), vec![])], 17).unwrap();
    assert!(matches!(store.output(other.record.key).unwrap(), LookUp::Found(_)));
    assert_eq!(store.blob_bytes(id).unwrap(), b"firmware of mcu");
}

/// "`--repair` restores a file from another sound copy where there is one"; "a lost file".
#[test]
fn a_lost_file_of_an_output_is_restored() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let dir = store.output_path(&row).join("out");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(dir.join("fw.bin")).unwrap();
    let told = findings(&store, Repair::Yes);
    assert!(store.lookup(row.record.key).unwrap().is_some(), "its blob is sound: {told:#?}");
}

#[test]
fn a_lost_file_of_an_image_is_restored() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler"), ("lib/c", b"library")]);
    let dir = store.paths().rootfs([1; 32]).join("lib");
    fs::remove_file(dir.join("c")).unwrap();
    let told = findings(&store, Repair::Yes);
    assert!(store.paths().rootfs([1; 32]).exists(), "the whole image is gone: {told:#?}");
}

/// A file with the right bytes and another time has them all.
#[test]
fn a_file_of_another_time_is_restored() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let file = store.output_path(&row).join("dict");
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
    fs::File::open(&file).unwrap().set_times(times).unwrap();
    let told = findings(&store, Repair::Yes);
    assert!(store.lookup(row.record.key).unwrap().is_some(), "its bytes are right: {told:#?}");
}

/// One copy that cannot be read must not keep the others from being used.
#[test]
fn a_copy_that_cannot_be_read_does_not_end_a_repair() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = layer(&store, 7, "source");
    flip(&dir.join("main.c"));
    // Stands for a sector that gives EIO: reading this fails, and not with "not found".
    let blob = store.paths().blob(BlobId::of(b"source 0"), Variant::ALL[0]);
    fs::create_dir_all(&blob).unwrap();
    let seen = store.verify(Scope::Whole, Repair::Yes, &mut |_| true);
    assert!(seen.is_ok(), "{:?}", seen.unwrap_err());
}

#[test]
fn what_has_another_kind_or_should_not_be_there_is_set_right() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler"), ("lib/c", b"library"), ("lib/none", b"")]);
    let top = store.paths().rootfs([1; 32]);
    fs::remove_file(top.join("lib/none")).unwrap();
    fs::remove_file(top.join("lib/c")).unwrap();
    fs::create_dir_all(top.join("lib/c/more")).unwrap();
    fs::write(top.join("bin/virus"), "x").unwrap();
    let told = findings(&store, Repair::Yes);
    assert!(told.iter().any(|finding| finding.done == "restored"), "{told:#?}");
    assert_eq!(fs::read(top.join("lib/c")).unwrap(), b"library");
    assert_eq!(super::names_in(&top.join("bin")), ["cc"]);
    assert_eq!(store.inspect(Thing::Image([1; 32])).unwrap(), None);
}

/// Every real image has empty files.
#[test]
fn a_sound_image_with_an_empty_file_has_no_findings() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler"), ("lib/empty", b"")]);
    assert_eq!(findings(&store, Repair::No), []);
}

/// A row that cannot be read stops no build of its commit.
#[test]
fn a_damaged_row_of_a_layer_is_found_and_repaired() {
    let lab = Lab::new();
    let store = lab.open();
    layer(&store, 7, "source");
    store
        .db
        .write("damage a row", |txn| {
            txn.open_table(crate::tables::LAYERS)?.insert(&[7; 32], b"\x01short".as_slice())?;
            Ok(())
        })
        .unwrap();
    assert_eq!(store.layer([7; 32]).unwrap(), None, "it is made again");
    let told = findings(&store, Repair::Yes);
    let what = Thing::Layer([7; 32]).to_string();
    assert!(told.iter().any(|it| it.what == what && it.done == "forgotten"), "{told:#?}");
    assert_eq!(store.layer([7; 32]).unwrap(), None);
    layer(&store, 7, "source");
    assert!(store.layer([7; 32]).unwrap().is_some());
}

/// "A damaged count must stop nobody."
#[test]
fn sizes_of_damaged_rows_do_not_overflow() {
    let lab = Lab::new();
    let store = lab.open();
    let rows = ["one", "two"].map(|name| commit(&store, name));
    store
        .db
        .write("damage rows", |txn| {
            let mut table = txn.open_table(crate::tables::OUTPUTS)?;
            for row in &rows {
                let bytes = table.remove(row.record.key)?.unwrap().value().to_vec();
                let mut bytes = bytes;
                bytes[133..141].fill(0xff);
                table.insert(row.record.key, bytes.as_slice())?;
            }
            Ok(())
        })
        .unwrap();
    let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true);
    assert!(seen.is_ok(), "{:?}", seen.unwrap_err());
}

/// Rows of any record can be written, or the record is refused before anything is.
#[test]
fn a_project_with_a_long_name_is_refused_and_stops_no_rebuild() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let mut long = record("long");
    long.project = "x".repeat(70_000);
    let told = store.commit(&long, firmware(&store, "mcu"), None);
    assert!(matches!(told, Err(crate::StoreError::ProjectName { size_b: 70_000 })), "{told:?}");
    assert!(store.alias(&long, row.record.key).is_err());
    // Whoever wrote it: metadata that says so.
    let mut meta = OutputMeta::new(&row, &store.tree(&row).unwrap());
    meta.row.record = long.clone();
    store.place_meta(&store.paths().meta(long.key), &meta.encode()).unwrap();
    drop(store);
    fs::remove_file(lab.state.join("kbs.redb")).unwrap();
    let store = lab.open();
    assert!(store.lookup(row.record.key).unwrap().is_some());
    assert_eq!(store.lookup(long.key).unwrap(), None);
}
