//! Proofs of a hostile review: each test states a promise and fails where it is broken.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kbs_plan::id::BlobId;

use super::{Lab, firmware, log, overwrite, path, record};
use crate::layout::Variant;
use crate::row::Ending;
use crate::{
    Executable, Item, LookUp, Policy, Repair, Root, RootKind, Scope, SourceEntry, SourceKind,
    Store, Thing, decide,
};

fn commit(store: &Store, name: &str) -> crate::OutputRow {
    let tree = firmware(store, name);
    store.commit(&record(name), &tree, Some(log(store, "CC\n"))).unwrap()
}

fn image(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
    unpack(store, name, files);
    store.adopt_image(name, 17).unwrap();
}

/// Puts an unpacked image into its place, as the image room does.
fn unpack(store: &Store, name: [u8; 32], files: &[(&str, &[u8])]) {
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

fn layer(store: &Store, name: u8, text: &str) -> PathBuf {
    let kind = SourceKind::File { executable: Executable::No };
    let entries = [
        SourceEntry { path: path("main.c"), kind: kind.clone() },
        SourceEntry { path: path("other.c"), kind },
    ];
    let read = |number: usize| Ok::<_, Infallible>(format!("{text} {number}").into_bytes());
    store.ingest_layer([name; 32], &entries, &read, 17).unwrap()
}

fn findings(store: &Store, repair: Repair) -> Vec<crate::Finding> {
    store.verify(Scope::Whole, repair, &mut |_| true).unwrap().findings
}

/// What a bad disk does: the last byte is another.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    overwrite(path, &bytes);
}

/// A process that has no more file descriptors knows nothing of an output, and drops it.
#[test]
fn r03_a_process_without_descriptors_drops_no_sound_output() {
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

/// "Nothing is believed before it was compared": an image that was found damaged when the index was
/// made again becomes a sound one when the daemon adopts all images that have no row.
#[test]
fn r04_a_damaged_image_is_not_adopted_as_it_is() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler")]);
    flip(&store.paths().rootfs([1; 32]).join("bin/cc"));
    assert!(!findings(&store, Repair::No).is_empty());
    drop(store);
    let store = Store::open_rebuilt(&lab.state).unwrap();
    // What `Engine::open` does with every image.
    let adopted = store.adopt_image([1; 32], 18);
    // The name of the blob that it was is the one thing that is noticed; no image is told of.
    let told = findings(&store, Repair::Yes);
    let (inspected, left) = (store.inspect(Thing::Image([1; 32])), findings(&store, Repair::No));
    let served = fs::read(store.paths().rootfs([1; 32]).join("bin/cc"));
    assert!(
        served.as_ref().map_or(true, |bytes| bytes == b"compiler") || adopted.is_err(),
        "{:?} is served; {inspected:?}; told {told:#?}; left {left:?}",
        served.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    );
}

/// A repair removes a blob that a build has put in the place of the damaged one meanwhile.
#[test]
fn r05_a_repair_leaves_what_was_made_again_meanwhile() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let blob = store.paths().blob(BlobId::of(b"firmware of mcu"), Variant::ALL[0]);
    flip(&blob);
    let _ = row;
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
    let tree = ingested.unwrap();
    let committed = store.commit(&record("other"), &tree, None);
    assert!(
        committed.is_ok(),
        "a pinned, sound blob was removed: {:?}; {:#?}",
        committed.unwrap_err(),
        seen.findings
    );
}

/// "`--repair` restores a file from another sound copy where there is one"; "a lost file".
#[test]
fn r06_a_lost_file_of_an_output_is_restored() {
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
fn r06_a_lost_file_of_an_image_is_restored() {
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
fn r06_a_file_of_another_time_is_restored() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let file = store.output_path(&row).join("dict");
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::now());
    fs::File::open(&file).unwrap().set_times(times).unwrap();
    let told = findings(&store, Repair::Yes);
    assert!(store.lookup(row.record.key).unwrap().is_some(), "its bytes are right: {told:#?}");
}

/// Every real image has empty files.
#[test]
fn r07_a_sound_image_with_an_empty_file_has_no_findings() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler"), ("lib/empty", b"")]);
    assert_eq!(findings(&store, Repair::No), []);
}

/// "What … running work holds stays": the directory of a layer goes from under a build that holds it
/// as soon as another request finds one of its files damaged.
#[test]
fn r09_a_leased_layer_is_not_deleted_by_making_it_again() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = layer(&store, 7, "source");
    let _lease = store.lease(Thing::Layer([7; 32]));
    // What a running build has: the directory, open (an overlay's lower layer).
    let held = cap_std::fs::Dir::open_ambient_dir(&dir, cap_std::ambient_authority()).unwrap();
    flip(&dir.join("main.c"));
    assert_eq!(store.layer([7; 32]).unwrap(), None);
    layer(&store, 7, "source");
    assert!(held.exists("other.c"), "a sound file of a layer in use was deleted");
}

/// A kill between the two steps of forgetting a log, or a full disk at the second.
#[test]
fn r10_a_kill_while_a_log_is_forgotten_loses_no_output() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let key = row.record.key;
    // The first half of `forget_log`; then the process is killed.
    let known = store.lookup(key).unwrap().unwrap();
    let mut meta = store.read_meta(key, &known).unwrap();
    meta.row.log = None;
    store.place_meta(&store.paths().meta(key), &meta.encode()).unwrap();
    drop(store);
    let store = lab.open();
    let found = store.output(key).unwrap();
    assert!(matches!(found, LookUp::Found(_)), "a sound output was dropped: {found:?}");
}

/// "The database can be made again from [the files]"; what is damaged is left out.
#[test]
fn r11_damaged_image_names_do_not_stop_a_rebuild() {
    let lab = Lab::new();
    let store = lab.open();
    commit(&store, "mcu");
    store.set_image_name("arm", "sha256:09").unwrap();
    let names = store.paths().image_names();
    drop(store);
    fs::write(names, "").unwrap();
    fs::write(lab.state.join("kbs.redb"), "damaged").unwrap();
    let rebuilt = Store::open_rebuilt(&lab.state);
    assert!(rebuilt.is_ok(), "{:?}", rebuilt.unwrap_err());
}

/// A row of a layer that cannot be read stops every build of its commit, and `verify` says nothing.
#[test]
fn r12_a_damaged_row_of_a_layer_is_found_and_repaired() {
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
    let told = findings(&store, Repair::Yes);
    let found = store.layer([7; 32]);
    assert!(found.is_ok(), "{:?}; a repair tells of {told:#?}", found.unwrap_err());
}

/// What is none of ours is left alone.
#[test]
fn r13_a_foreign_file_among_the_blobs_stops_nobody() {
    let lab = Lab::new();
    let store = lab.open();
    commit(&store, "mcu");
    fs::write(store.paths().blobs().join("README"), "mine").unwrap();
    let swept = store.sweep();
    let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true);
    assert!(swept.is_ok() && seen.is_ok(), "sweep: {swept:?}, verify: {:?}", seen.err());
}

/// Two clients import the same archive under two names.
#[test]
fn r14_one_image_can_be_adopted_twice_at_once() {
    let lab = Lab::new();
    let store = lab.open();
    let files: Vec<_> = (0..300).map(|it| (format!("lib/{it}"), format!("file {it}"))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    // Another image has the same files.
    image(&store, [1; 32], &files);
    for _ in 0..10 {
        unpack(&store, [2; 32], &files);
        thread::scope(|scope| {
            let adopt = || scope.spawn(|| store.adopt_image([2; 32], 17));
            let (one, two) = (adopt(), adopt());
            let ended = [one.join().unwrap(), two.join().unwrap()];
            assert!(ended.iter().all(Result::is_ok), "{ended:#?}");
        });
        store.discard(&[Item::Thing(Thing::Image([2; 32]), Vec::new())]).unwrap();
    }
}

/// "The daemon by itself after it was killed": unless somebody made the index again in between.
#[test]
fn r16_after_a_kill_the_litter_is_still_to_be_swept_when_the_index_was_made_again() {
    let lab = Lab::new();
    drop(lab.open());
    fs::write(lab.state.join("open"), "").unwrap();
    drop(Store::open_rebuilt(&lab.state).unwrap());
    assert!(lab.open().was_left_open(), "nobody swept, and nobody will");
}

/// "The disk is full: … `kbs gc`."
#[test]
fn r18_a_full_disk_can_be_collected() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mounted");
    fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12M", "none"])
        .arg(&place)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let store = Store::open(&place.join("state")).unwrap();
        for number in 0..20 {
            commit(&store, &format!("mcu-{number}"));
        }
        let filler = place.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let block = vec![7; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        drop(file);
        let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
        let removed = store.remove(&items, 17);
        format!("{removed:?}")
    });
    Command::new("umount").arg("-l").arg(&place).status().unwrap();
    let told = outcome.unwrap();
    assert!(told.starts_with("Ok"), "{told}");
}

/// One copy that cannot be read must not keep the others from being used.
#[test]
fn r19_a_copy_that_cannot_be_read_does_not_end_a_repair() {
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

/// One damaged row must not keep everything else from being swept.
#[test]
fn r20_a_damaged_row_does_not_end_a_sweep() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
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

/// Readers and writers of the store wait for an import as soon as a collection wants to begin.
#[test]
fn r24_a_commit_does_not_wait_for_an_import() {
    let lab = Lab::new();
    let store = lab.open();
    commit(&store, "mcu");
    let files: Vec<_> = (0..20_000).map(|it| format!("lib/file-{it}")).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|it| (it.as_str(), b"x".as_slice())).collect();
    unpack(&store, [1; 32], &files);
    let tree = firmware(&store, "other");
    thread::scope(|scope| {
        let import = scope.spawn(|| {
            let begun = Instant::now();
            store.adopt_image([1; 32], 17).unwrap();
            begun.elapsed()
        });
        thread::sleep(Duration::from_millis(30));
        scope.spawn(|| store.remove(&[Item::Failure(record("broken").key)], 17).unwrap());
        thread::sleep(Duration::from_millis(30));
        let begun = Instant::now();
        store.commit(&record("other"), &tree, None).unwrap();
        let (waited, whole) = (begun.elapsed(), import.join().unwrap());
        assert!(waited < whole / 2, "a commit took {waited:?} of an import's {whole:?}");
    });
}

/// Rows of any record can be written, or the record is refused before anything is.
#[test]
fn r26_a_project_with_a_long_name_is_refused_and_stops_no_rebuild() {
    let lab = Lab::new();
    let store = lab.open();
    let mut long = record("mcu");
    long.project = "x".repeat(70_000);
    let tree = firmware(&store, "mcu");
    let told = store.commit(&long, &tree, None);
    drop(tree);
    drop(store);
    fs::remove_file(lab.state.join("kbs.redb")).unwrap();
    let opened = Store::open(&lab.state);
    assert!(opened.is_ok(), "{:?}; the commit said {told:?}", opened.unwrap_err());
}

/// A failure that comes again while the logs are read is not damaged.
#[test]
fn r28_a_log_of_a_failure_that_came_again_is_not_forgotten() {
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
    let _ = (Ending::Failed, fs::metadata(store.paths().root()).unwrap().ino());
}

/// `Engine::open` adopts every image that has no row, and ends with the first that cannot be: no
/// daemon starts, and `rebuild-index`, which opens an engine, fails, too.
#[test]
fn r29_an_image_that_cannot_be_adopted_is_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler")]);
    let foreign = std::ffi::OsStr::from_bytes(b"foreign-\xff");
    fs::write(store.paths().rootfs([1; 32]).join(foreign), "x").unwrap();
    drop(store);
    let store = Store::open_rebuilt(&lab.state).unwrap();
    let adopted = store.adopt_image([1; 32], 18);
    assert!(adopted.is_ok(), "engine/mod.rs:85 says `?` to {:?}", adopted.unwrap_err());
}

/// "A damaged count must stop nobody."
#[test]
fn r30_sizes_of_damaged_rows_do_not_overflow() {
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

/// Sources of an older layout are in use by kept work trees.
#[test]
fn r32_a_sweep_leaves_what_is_leased() {
    let lab = Lab::new();
    let store = lab.open();
    let dir = store.paths().layer([5; 32]);
    fs::create_dir(&dir).unwrap();
    let _lease = store.lease(Thing::Layer([5; 32]));
    store.sweep().unwrap();
    assert!(dir.exists(), "a leased directory was swept");
}

/// "Names that no row knows … a sweep removes the rest."
#[test]
fn r33_a_sweep_removes_images_that_no_row_knows() {
    let lab = Lab::new();
    let store = lab.open();
    unpack(&store, [1; 32], &[("bin/cc", b"compiler")]);
    store.sweep().unwrap();
    assert!(!store.paths().image([1; 32]).exists(), "an image without a row stays for ever");
}

/// A database that cannot be reached is not one that was never made.
#[test]
fn r34_an_index_on_a_disk_that_is_not_there_is_not_replaced() {
    let lab = Lab::new();
    drop(lab.open());
    let place = lab.state.join("kbs.redb");
    fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("/not/mounted/kbs.redb", &place).unwrap();
    let opened = Store::open(&lab.state);
    assert!(opened.is_err(), "the link was replaced by an empty index");
}

/// A file that others share bytes with may go while a layer is being made.
#[test]
fn r35_a_sweep_does_not_make_an_ingest_fail() {
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
                if let Err(error) = store.ingest_layer([9; 32], &entries, &read, 17) {
                    told = Some(format!("{error:?}"));
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
