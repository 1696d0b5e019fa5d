//! Bytes in, the same bytes out, or an error.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use kbs_plan::id::BlobId;

use super::{Lab, names_in, overwrite, path};
use crate::layout::Variant;
use crate::{Executable, StoreError};

#[test]
fn what_was_taken_in_is_read_back() {
    let lab = Lab::new();
    let store = lab.open();
    let bytes: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let mut ingest = store.ingest().unwrap();
    let (id, size_b) = ingest.file(path("fw.bin"), Executable::No, &mut bytes.as_slice()).unwrap();
    assert_eq!((id, size_b), (BlobId::of(&bytes), 400_000));
    assert!(matches!(store.read_blob(id), Err(StoreError::MissingBlob { .. })));
    let tree = ingest.finish().unwrap();
    assert_eq!(tree.len(), 1);

    assert_eq!(store.blob_bytes(id).unwrap(), bytes);
    let mut reader = store.read_blob(id).unwrap();
    assert_eq!(reader.size_b(), 400_000);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
    drop(tree);
    assert!(names_in(&store.paths().scratch()).is_empty());
}

#[test]
fn modes_are_inodes_and_the_time_is_fixed() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    let (id, _) = ingest.file(path("a"), Executable::No, &mut b"x".as_slice()).unwrap();
    ingest.file(path("b"), Executable::Yes, &mut b"x".as_slice()).unwrap();
    ingest.file(path("c"), Executable::No, &mut b"x".as_slice()).unwrap();
    ingest.finish().unwrap();
    let [plain, run, ..] = Variant::ALL;
    for (variant, mode) in [(plain, 0o444), (run, 0o555)] {
        let found = fs::metadata(store.paths().blob(id, variant)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (mode, 1));
    }
}

#[test]
fn a_damaged_blob_is_not_served_and_heals_when_it_comes_again() {
    let lab = Lab::new();
    let store = lab.open();
    let take = || {
        let mut ingest = store.ingest().unwrap();
        let taken = ingest.file(path("a"), Executable::No, &mut b"firmware".as_slice()).unwrap();
        ingest.finish().unwrap();
        taken.0
    };
    let id = take();
    for damage in [b"firmwarE".as_slice(), b"firm", b"firmware and more", b""] {
        overwrite(&store.paths().blob(id, Variant::ALL[0]), damage);
        let error = store.blob_bytes(id).unwrap_err();
        assert!(matches!(error, StoreError::CorruptBlob { .. }), "{error:?}");
        let mut reader = store.read_blob(id).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(reader.read(&mut [0; 8]).is_err());

        assert_eq!(take(), id);
        assert_eq!(store.blob_bytes(id).unwrap(), b"firmware");
    }
}
