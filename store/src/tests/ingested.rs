//! Trees on their way in: what is equal is one file, what no tree can hold is not written, what is not
//! committed is litter.

use std::fs;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kbs_plan::error::{Class, Help as _};

use super::{Lab, firmware, names_in, path, record};
use crate::{Executable, Incomer, Ingest, StoreError};

fn add(ingest: &mut Ingest<'_>, name: &str, mut bytes: &[u8]) -> Result<(), StoreError> {
    ingest.file(path(name), Executable::No, &mut bytes).map(drop)
}

#[test]
fn equal_large_files_of_one_output_are_one_file() {
    let lab = Lab::new();
    let store = lab.open();
    let bytes = vec![7; 3 << 20];
    let mut ingest = store.ingest().unwrap();
    for name in ["a/one.bin", "b/two.bin"] {
        add(&mut ingest, name, &bytes).unwrap();
    }
    let row = store.commit(&record("mcu"), ingest.finish().unwrap(), None).unwrap();
    for name in ["a/one.bin", "b/two.bin"] {
        assert!(fs::read(store.output_path(&row).join(name)).unwrap() == bytes, "{name}");
    }
}

/// Two that come to their ends at the same time.
struct Together<'a> {
    bytes: &'a [u8],
    ended: &'a AtomicUsize,
}

impl Read for Together<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count == 0 {
            self.ended.fetch_add(1, Ordering::SeqCst);
            let until = Instant::now() + Duration::from_millis(20);
            // One processor alone does not wait for another one.
            while self.ended.load(Ordering::SeqCst) < 2 && Instant::now() < until {
                std::hint::spin_loop();
            }
        }
        Ok(count)
    }
}

#[test]
fn equal_files_that_come_at_the_same_time_are_one_file() {
    let lab = Lab::new();
    let store = lab.open();
    for round in 0..100 {
        let bytes = format!("round {round}");
        let ended = AtomicUsize::new(0);
        let mut ingest = store.ingest().unwrap();
        let incomers = ["one", "two"].map(|name| Incomer {
            path: path(name),
            executable: Executable::No,
            size_b: bytes.len() as u64 + 1,
        });
        let open = |_: &_| Ok(Together { bytes: bytes.as_bytes(), ended: &ended });
        ingest.files(incomers.into(), &open).unwrap();
        let row = record(&format!("mcu-{round}"));
        let row = store.commit(&row, ingest.finish().unwrap(), None).unwrap();
        for name in ["one", "two"] {
            assert_eq!(fs::read(store.output_path(&row).join(name)).unwrap(), bytes.as_bytes());
        }
    }
}

/// Bytes differ, for what is known is not written.
#[test]
fn what_no_tree_can_hold_is_refused_before_it_is_written() {
    let lab = Lab::new();
    let store = lab.open();
    let elsewhere = lab.state.parent().unwrap().to_owned();
    let mut ingest = store.ingest().unwrap();
    add(&mut ingest, "file", b"1").unwrap();
    ingest.symlink(path("link"), elsewhere.to_str().unwrap().to_owned()).unwrap();
    ingest.directory(path("dir/inner")).unwrap();
    for (number, name) in
        ["file/below", "file", "link/through", "link", "dir", "dir/inner"].into_iter().enumerate()
    {
        let error = add(&mut ingest, name, format!("other {number}").as_bytes()).unwrap_err();
        assert!(matches!(error, StoreError::Tree { .. }), "{name}: {error:?}");
        assert_eq!(error.class(), Class::User);
    }
    let row = store.commit(&record("mcu"), ingest.finish().unwrap(), None).unwrap();
    assert!(store.output(row.record.key).unwrap().found().is_some(), "nothing of it stays");
    assert!(!elsewhere.join("through").exists());
}

/// A reader that fails.
struct Torn;

impl Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("torn"))
    }
}

#[test]
fn an_abandoned_or_refused_ingest_leaves_nothing() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    ingest.file(path("a"), Executable::No, &mut b"x".as_slice()).unwrap();
    drop(ingest);

    let mut ingest = store.ingest().unwrap();
    let error = ingest.file(path("a"), Executable::No, &mut Torn).unwrap_err();
    assert!(matches!(error, StoreError::Input { .. }));
    ingest.file(path("c"), Executable::No, &mut b"x".as_slice()).unwrap();
    let error = ingest.file(path("c/b"), Executable::No, &mut b"x".as_slice()).unwrap_err();
    assert_eq!(error.class(), Class::User);
    let error = ingest.symlink(path("b"), "x\0y".to_owned()).unwrap_err();
    assert_eq!(error.class(), Class::User);
    drop(ingest);

    assert!(names_in(&store.paths().scratch()).is_empty());
    assert!(names_in(&store.paths().blobs()).is_empty());
}

#[test]
fn what_could_not_be_taken_is_not_in_the_output() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    // So much of it that a part is written before it ends.
    let torn = vec![7_u8; (1 << 20) + 1];
    let reader = &mut torn.as_slice().chain(Torn);
    ingest.file(path("torn.bin"), Executable::No, reader).unwrap_err();
    ingest.file(path("dir/torn.bin"), Executable::No, &mut Torn).unwrap_err();
    add(&mut ingest, "fw.bin", b"x").unwrap();
    let row = store.commit(&record("mcu"), ingest.finish().unwrap(), None).unwrap();
    assert_eq!(names_in(&store.output_path(&row)), ["fw.bin"]);
    assert!(store.output(row.record.key).unwrap().found().is_some());
}

#[test]
fn new_blobs_of_what_is_never_committed_are_swept() {
    let lab = Lab::new();
    let store = lab.open();
    store.commit(&record("mcu"), firmware(&store, "mcu"), None).unwrap();
    drop(firmware(&store, "mcu"));
    drop(store);
    assert!(!lab.state.join("open").exists(), "there is nothing to sweep");
    let store = lab.open();
    drop(firmware(&store, "other"));
    drop(store);
    assert!(lab.state.join("open").exists(), "nobody would sweep");
    assert!(lab.open().sweep().unwrap().blobs > 0);
}
