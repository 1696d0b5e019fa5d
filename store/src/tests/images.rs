//! Images: taken in when they are what they were, once, beside everybody else, and swept when not.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::thread;
use std::time::{Duration, Instant};

use super::{Lab, firmware, image, overwrite, record, unpack};
use crate::{Item, Store, StoreError, Thing};

#[test]
fn an_image_that_is_not_what_was_listed_is_not_taken_in() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", b"compiler")]);
    overwrite(&store.paths().rootfs([1; 32]).join("bin/cc"), b"Compiler");
    drop(store);
    let store = Store::open_rebuilt(&lab.state).unwrap();
    assert!(!store.has_image([1; 32]).unwrap());
    let refused = store.adopt_found_image([1; 32], 18);
    assert!(matches!(refused, Err(StoreError::Meta { .. })), "{refused:?}");
    assert!(!store.has_image([1; 32]).unwrap());
    // One that was just imported is what it is.
    store.adopt_image([1; 32], 18).unwrap();
    assert!(store.has_image([1; 32]).unwrap());
}

#[test]
fn an_image_that_no_listing_can_hold_is_refused_alone() {
    let lab = Lab::new();
    let store = lab.open();
    unpack(&store, [1; 32], &[("bin/cc", b"compiler")]);
    unpack(&store, [2; 32], &[("bin/cc", b"compiler")]);
    let foreign = std::ffi::OsStr::from_bytes(b"foreign-\xff");
    fs::write(store.paths().rootfs([1; 32]).join(foreign), "x").unwrap();
    let refused = store.adopt_found_image([1; 32], 18);
    assert!(matches!(refused, Err(StoreError::Meta { .. })), "{refused:?}");
    store.adopt_found_image([2; 32], 18).unwrap();
    assert_eq!([[1; 32], [2; 32]].map(|it| store.has_image(it).unwrap()), [false, true]);
}

/// Two clients import the same archive under two names.
#[test]
fn one_image_can_be_adopted_twice_at_once() {
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

/// Readers and writers of the store wait for an import as soon as a collection wants to begin.
#[test]
fn a_commit_does_not_wait_for_an_import() {
    let lab = Lab::new();
    let store = lab.open();
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
        store.commit(&record("other"), tree, None).unwrap();
        let (waited, whole) = (begun.elapsed(), import.join().unwrap());
        assert!(waited < whole / 2, "a commit took {waited:?} of an import's {whole:?}");
    });
}

/// "Names that no row knows … a sweep removes the rest."
#[test]
fn a_sweep_removes_images_that_no_row_knows_and_nobody_uses() {
    let lab = Lab::new();
    let store = lab.open();
    unpack(&store, [1; 32], &[("bin/cc", b"compiler")]);
    store.sweep().unwrap();
    assert!(!store.paths().image([1; 32]).exists(), "an image without a row stays for ever");
}
