//! Clocks that go backwards, and files that are not ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::{Lab, firmware, log, record};
use crate::{
    Executable, OutputRecord, Policy, Repair, Root, RootKind, Scope, Store, Thing, decide,
};

fn committed_at(store: &Store, name: &str, created_unix_s: u64) {
    let tree = firmware(store, name);
    let record = OutputRecord { created_unix_s, ..record(name) };
    store.commit(&record, tree, Some(log(store, "CC\n"))).unwrap();
}

#[test]
fn a_last_use_never_goes_back_with_the_clock() {
    let lab = Lab::new();
    let store = lab.open();
    committed_at(&store, "mcu", 1_000);
    let thing = Thing::Output(record("mcu").key);
    let mut latest = 0;
    for (number, now) in [5_000, 4_000, 6_000, 10, 0, 5_999, 7_000, 1].into_iter().enumerate() {
        store.touch(thing, now).unwrap();
        latest = latest.max(now);
        assert_eq!(store.last_use(thing).unwrap(), latest);
        if number % 2 == 1 {
            // Whether it is only noted or written.
            store.flush_notes().unwrap();
        }
        assert_eq!(store.last_use(thing).unwrap(), latest);
        assert_eq!(store.outputs().unwrap()[0].last_use_unix_s, latest);
    }
    drop(store);
    assert_eq!(lab.open().last_use(thing).unwrap(), 7_000);
}

#[test]
fn a_collection_by_age_takes_nothing_too_early_when_the_clock_went_back() {
    let lab = Lab::new();
    let store = lab.open();
    // The clock was far ahead when this one was made, and went back since.
    committed_at(&store, "ahead", 9_000_000);
    committed_at(&store, "now", 1_000_000);
    committed_at(&store, "old", 10);
    store.touch(Thing::Output(record("old").key), 999_000).unwrap();
    let goes = |now_unix_s: u64, older_than_s: u64| -> Vec<String> {
        let policy = Policy { older_than_s: Some(older_than_s), ..Policy::default() };
        let candidates = store.candidates(now_unix_s).unwrap();
        let decisions = decide(candidates, &policy, now_unix_s, 0, &mut |_| 0);
        let gone = decisions.into_iter().filter(|decision| decision.reason.goes());
        let mut names: Vec<_> = gone.map(|decision| decision.candidate.name.to_string()).collect();
        names.sort();
        names
    };
    let nothing: [&str; 0] = [];
    assert_eq!(goes(1_000_100, 3_600), nothing);
    assert_eq!(goes(0, 0), nothing);
    assert_eq!(goes(5, 1), nothing);
    assert_eq!(goes(1_003_700, 3_600), ["now", "old"]);
    assert_eq!(goes(1_003_600, 3_600), ["old"]);
    // A root of the future is no reason to forget its link.
    let link = lab.state.with_file_name("link-that-comes");
    let name = link.to_str().unwrap().to_owned();
    let key = record("old").key;
    store.add_root(&Root { name, kind: RootKind::Link, key, created_unix_s: 2_000_000 }).unwrap();
    assert_eq!(goes(1_003_700, 3_600), ["now"]);
    assert_eq!(store.roots().unwrap().len(), 1);
}

/// Puts what nobody expects, by name and by kind, into every directory of the store.
fn scatter(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let key = record("other").key.hex();
    let names: [&[u8]; 8] = [
        b"\xff\xfe",
        b"notes.txt",
        b"a\nb",
        b"\xe4-mcu",
        &key.as_bytes()[..63],
        b".hidden",
        "\u{e4}\u{f6}\u{fc}.json".as_bytes(),
        b"\x1b[2J.zst",
    ];
    let mut scattered = BTreeMap::new();
    for dir in ["outputs", "sources", "meta", "logs", "images", "blobs", "blobs/00", "."] {
        let dir = lab.state.join(dir);
        fs::create_dir_all(&dir).unwrap();
        for name in names {
            let place = dir.join(OsStr::from_bytes(name));
            fs::write(&place, name).unwrap();
            scattered.insert(place, name.to_vec());
        }
        let inner = dir.join(OsStr::from_bytes(b"\xffdir"));
        fs::create_dir(&inner).unwrap();
        let place = inner.join(OsStr::from_bytes(b"\xff"));
        fs::write(&place, "inside").unwrap();
        scattered.insert(place, b"inside".to_vec());
    }
    scattered
}

#[test]
fn files_that_are_not_ours_are_in_the_way_of_nothing_and_stay() {
    let lab = Lab::new();
    let store = lab.open();
    committed_at(&store, "mcu", 1_000);
    drop(store);
    let scattered = scatter(&lab);
    let all_is_well = |store: &Store, when: &str| {
        let verified = store.verify(Scope::Whole, Repair::Yes, &mut |_| true).unwrap();
        assert_eq!(verified.findings, [], "{when}");
        store.sweep().unwrap();
        store.candidates(1_000).unwrap();
        store.usage().unwrap();
        assert!(store.output(record("mcu").key).unwrap().found().is_some(), "{when}");
        for (place, bytes) in &scattered {
            assert_eq!(fs::read(place).unwrap(), *bytes, "{when}: {}", place.display());
        }
    };
    all_is_well(&lab.open(), "opened");
    all_is_well(&Store::open_rebuilt(&lab.state).unwrap(), "made again");
    fs::remove_file(lab.state.join("kbs.redb")).unwrap();
    let store = lab.open();
    all_is_well(&store, "without a database");
    committed_at(&store, "other", 2_000);
    all_is_well(&store, "with another output");
}

#[test]
fn a_name_that_is_not_utf_8_in_an_image_is_an_error_and_harms_nothing() {
    let lab = Lab::new();
    let store = lab.open();
    let rootfs = store.paths().rootfs([7; 32]);
    fs::create_dir_all(&rootfs).unwrap();
    let place = rootfs.join(OsStr::from_bytes(b"\xff"));
    fs::write(&place, "x").unwrap();
    let error = store.adopt_image([7; 32], 1).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
    assert_eq!(fs::read(&place).unwrap(), b"x");
    fs::remove_file(place).unwrap();
    store.adopt_image([7; 32], 1).unwrap();
    let mut ingest = store.ingest().unwrap();
    ingest.file(super::path("\u{e4}"), Executable::No, &mut b"x".as_slice()).unwrap();
    let tree = ingest.finish().unwrap();
    store.commit(&record("umlaut"), tree, None).unwrap();
    let verified = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert_eq!(verified.findings, []);
}
