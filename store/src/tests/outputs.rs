//! Outputs: committed whole, shared, looked at, dropped when they changed.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::UNIX_EPOCH;

use kbs_plan::id::{BlobId, BuildKey};

use super::{Lab, firmware, log, names_in, overwrite, path, record};
use crate::check::WINDOW;
use crate::layout::{Purpose, Variant};
use crate::row::Ending;
use crate::tables::OUTPUTS;
use crate::{
    Executable, Found, Ingested, LookUp, OutputRecord, OutputRow, Store, StoreError, Thing,
};

fn committed(store: &Store, name: &str) -> OutputRow {
    let tree = firmware(store, name);
    store.commit(&record(name), tree, Some(log(store, "CC\n"))).unwrap()
}

fn nothing(store: &Store) -> Ingested {
    store.ingest().unwrap().finish().unwrap()
}

fn reason(look_up: LookUp) -> String {
    match look_up {
        LookUp::Dropped { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_is_found_again() {
    let lab = Lab::new();
    let store = lab.open();
    let tree = firmware(&store, "mcu");
    let expected = kbs_plan::tree::Tree::clone(&tree);
    let row = store.commit(&record("mcu"), tree, Some(log(&store, "CC\n"))).unwrap();
    assert_eq!(row.record, record("mcu"));
    assert_eq!((row.tree, row.entries, row.size_b), (expected.id(), 5, 20));
    drop(store);

    let store = lab.open();
    assert_eq!(store.output(row.record.key).unwrap().found().as_ref(), Some(&row));
    assert_eq!(store.by_content(row.record.content).unwrap(), Some(row.record.key));
    assert_eq!(store.tree(&row).unwrap(), expected);
    let listing = store.listing(Thing::Output(row.record.key)).unwrap();
    assert_eq!(listing, Some(expected));
    assert_eq!(store.listing(Thing::Output(BuildKey::of(b"other"))).unwrap(), None);
    let log = store.read_log(row.record.key, Ending::Succeeded, 0).unwrap().unwrap();
    assert_eq!(std::io::read_to_string(log).unwrap(), "CC\n");

    let dir = store.output_path(&row);
    assert_eq!(fs::read(dir.join("latest")).unwrap(), b"firmware of mcu");
    for (name, mode) in [("", 0o555), ("out", 0o555), ("dict", 0o444), ("out/fw.elf", 0o555)] {
        let found = fs::symlink_metadata(dir.join(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (mode, 1), "{name}");
    }
    assert!(names_in(&store.paths().scratch()).is_empty());
}

#[test]
fn an_empty_output_is_an_output() {
    let lab = Lab::new();
    let store = lab.open();
    let row = store.commit(&record("empty"), nothing(&store), None).unwrap();
    assert_eq!(store.output(row.record.key).unwrap().found().unwrap(), row);
    assert!(store.tree(&row).unwrap().is_empty());
}

#[test]
fn equal_files_of_two_outputs_are_one_inode() {
    let lab = Lab::new();
    let store = lab.open();
    let [one, two] = ["one", "two"].map(|name| store.output_path(&committed(&store, name)));
    let inode = |dir: &Path, name: &str| fs::metadata(dir.join(name)).unwrap().ino();
    assert_eq!(inode(&one, "out/fw.elf"), inode(&two, "out/fw.elf"));
    assert_ne!(inode(&one, "out/fw.bin"), inode(&two, "out/fw.bin"));
}

#[test]
fn where_no_link_can_be_had_a_copy_does() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    let (id, _) = ingest.file(path("a"), Executable::Yes, &mut b"elf".as_slice()).unwrap();
    ingest.finish().unwrap();
    let variant = Variant::of(Purpose::Output, Executable::Yes);
    let blob = store.paths().blob(id, variant);
    let place = store.paths().scratch().join("copy");
    crate::checkout::copy_blob(&blob, id, variant, &place).unwrap();
    let found = fs::metadata(&place).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime(), found.nlink()), (0o555, 1, 1));

    overwrite(&blob, b"eLf");
    fs::remove_file(&place).unwrap();
    let error = crate::checkout::copy_blob(&blob, id, variant, &place).unwrap_err();
    assert!(matches!(error, StoreError::CorruptBlob { .. }));
}

#[test]
fn the_first_sound_output_of_a_key_stays() {
    let lab = Lab::new();
    let store = lab.open();
    let row = committed(&store, "mcu");
    let other = firmware(&store, "another result");
    let again = store.commit(&record("mcu"), other, Some(log(&store, "again\n"))).unwrap();
    assert_eq!(again, row);
    assert!(names_in(&store.paths().scratch()).is_empty());
}

fn marked(name: &str) -> OutputRecord {
    OutputRecord { marks: ["no-landlock".to_owned()].into(), ..record(name) }
}

#[test]
fn what_was_made_in_a_better_sandbox_replaces_what_was_not_and_is_never_replaced_by_it() {
    let lab = Lab::new();
    let store = lab.open();
    let [worse, better] = ["worse", "better"].map(|name| || firmware(&store, name));
    let first = store.commit(&marked("mcu"), worse(), Some(log(&store, "worse\n"))).unwrap();
    assert_eq!(store.commit(&marked("mcu"), better(), None).unwrap(), first);

    let whole = store.commit(&record("mcu"), better(), Some(log(&store, "better\n"))).unwrap();
    assert!(whole.record.marks.is_empty());
    assert_eq!(whole.tree, better().id());
    assert_eq!(store.output(whole.record.key).unwrap().found().unwrap(), whole);
    assert_eq!(fs::read(store.output_path(&whole).join("dict")).unwrap(), b"{}");
    assert_eq!(store.by_content(whole.record.content).unwrap(), Some(whole.record.key));
    assert_eq!(store.commit(&marked("mcu"), worse(), None).unwrap(), whole);
}

#[test]
fn an_alias_of_what_was_made_in_a_better_sandbox_replaces_what_was_not() {
    let lab = Lab::new();
    let store = lab.open();
    let tree = || firmware(&store, "mcu");
    let content = record("mcu").content;
    let own = OutputRecord { content, ..marked("own") };
    let alias = OutputRecord { content, ..record("alias") };
    store.commit(&marked("mcu"), tree(), None).unwrap();
    store.commit(&own, tree(), None).unwrap();
    let old = store.alias(&alias, record("mcu").key).unwrap();
    assert_eq!(old.record.marks, marked("mcu").marks);

    // The base is built again; what stood for the one before goes with it.
    let base = store.commit(&record("mcu"), tree(), None).unwrap();
    assert!(matches!(store.output(alias.key).unwrap(), LookUp::Absent));
    for record in [alias, OutputRecord { marks: BTreeSet::new(), ..own.clone() }] {
        let row = store.alias(&record, base.record.key).unwrap();
        assert!(row.record.marks.is_empty());
        assert_eq!(row.stored_as, base.stored_as);
        assert_eq!(store.output(record.key).unwrap().found().unwrap(), row);
    }
    assert!(store.output(base.record.key).unwrap().found().is_some());
    // Nothing marked takes the place of what is not.
    store.commit(&own, tree(), None).unwrap();
    assert!(store.output(own.key).unwrap().found().unwrap().record.marks.is_empty());
}

#[test]
fn a_blob_that_goes_missing_stops_an_ingest() {
    let lab = Lab::new();
    let store = lab.open();
    committed(&store, "mcu");
    let mut ingest = store.ingest().unwrap();
    let (blob, _) = ingest.file(path("dict"), Executable::No, &mut b"{}".as_slice()).unwrap();
    fs::remove_file(store.paths().blob(blob, Variant::ALL[0])).unwrap();
    let error = ingest.finish().unwrap_err();
    assert!(matches!(error, StoreError::MissingBlob { id } if id == blob));
    committed(&store, "again");
}

/// Others have links to what is sound, which count as uses of the blob.
#[test]
fn a_new_blob_takes_the_place_of_a_damaged_one_and_of_no_other() {
    let lab = Lab::new();
    let store = lab.open();
    let of = |bytes: &[u8]| store.paths().blob(BlobId::of(bytes), Variant::ALL[0]);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    // Two that do not know of each other, as two threads may.
    let [mut one, mut other] = [(); 2].map(|()| store.ingest().unwrap());
    for ingest in [&mut one, &mut other] {
        ingest.file(path("fw.bin"), Executable::No, &mut b"new".as_slice()).unwrap();
    }
    let one = store.commit(&record("one"), one.finish().unwrap(), None).unwrap();
    let other = store.commit(&record("other"), other.finish().unwrap(), None).unwrap();
    let files = [&one, &other].map(|row| inode(&store.output_path(row).join("fw.bin")));
    assert_eq!(files, [inode(&of(b"new")); 2]);

    let mut ingest = store.ingest().unwrap();
    ingest.file(path("fw.bin"), Executable::No, &mut b"fresh".as_slice()).unwrap();
    fs::create_dir_all(of(b"fresh").parent().unwrap()).unwrap();
    fs::write(of(b"fresh"), "stale").unwrap();
    let row = store.commit(&record("fresh"), ingest.finish().unwrap(), None).unwrap();
    assert_eq!(fs::read(of(b"fresh")).unwrap(), b"fresh");
    assert_eq!(inode(&store.output_path(&row).join("fw.bin")), inode(&of(b"fresh")));
}

#[test]
fn names_cannot_leave_their_directory() {
    let lab = Lab::new();
    let store = lab.open();
    for name in ["", "..", ".hidden", "a/b", "a\0", "ä", &"x".repeat(101)] {
        let error = store.commit(&record(name), nothing(&store), None).unwrap_err();
        assert!(matches!(error, StoreError::Name { .. }), "{name}");
    }
}

/// Damages an output in one way, and expects it to be dropped once every file had its turn.
fn is_noticed(what: &str, damage: impl FnOnce(&Path)) {
    let lab = Lab::new();
    let store = lab.open();
    let row = committed(&store, "mcu");
    let key = row.record.key;
    damage(&store.output_path(&row));
    let dropped = (0..30)
        .map(|_| store.output(key).unwrap())
        .find(|look_up| matches!(look_up, LookUp::Dropped { .. }))
        .unwrap_or_else(|| panic!("{what} is served"));
    if let LookUp::Dropped { moved_to: Some(aside), .. } = dropped {
        assert!(aside.exists());
        assert!(!store.output_path(&row).exists());
    }
    assert!(matches!(store.output(key).unwrap(), LookUp::Absent), "{what}");
    assert_eq!(store.by_content(row.record.content).unwrap(), None);
    assert!(store.outputs().unwrap().is_empty());

    // Built again, it is whole again, although the damaged inode was the blob's too.
    assert_eq!(committed(&store, "mcu"), row, "{what}");
    for _ in 0..30 {
        assert!(store.output(key).unwrap().found().is_some(), "{what}");
    }
}

#[test]
fn what_has_changed_is_not_served() {
    let unlock = |dir: &Path| fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    is_noticed("other bytes", |dir| overwrite(&dir.join("out/fw.bin"), b"firmware of mcU"));
    is_noticed("another size", |dir| overwrite(&dir.join("out/fw.bin"), b"firm"));
    is_noticed("another time", |dir| {
        fs::File::open(dir.join("dict")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    });
    is_noticed("no directory", |dir| crate::remove_tree(dir).unwrap());
    is_noticed("a file less", |dir| {
        unlock(dir);
        fs::remove_file(dir.join("dict")).unwrap();
    });
    is_noticed("a file more", |dir| {
        unlock(&dir.join("out"));
        fs::write(dir.join("out/extra"), "x").unwrap();
        fs::set_permissions(dir.join("out"), Permissions::from_mode(0o555)).unwrap();
    });
    is_noticed("another mode", |dir| {
        fs::set_permissions(dir.join("dict"), Permissions::from_mode(0o4555)).unwrap();
    });
    is_noticed("another link", |dir| {
        unlock(dir);
        fs::remove_file(dir.join("latest")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.join("latest")).unwrap();
    });
    is_noticed("a link for a file", |dir| {
        unlock(dir);
        fs::rename(dir.join("dict"), dir.with_extension("dict")).unwrap();
        std::os::unix::fs::symlink(dir.with_extension("dict"), dir.join("dict")).unwrap();
    });
}

#[test]
fn damaged_rows_are_dropped_and_newer_ones_are_errors() {
    let lab = Lab::new();
    let store = lab.open();
    let row = committed(&store, "mcu");
    let put = |bytes: &[u8]| {
        let damage = |txn: &redb::WriteTransaction| {
            txn.open_table(OUTPUTS)?.insert(row.record.key, bytes)?;
            Ok(())
        };
        store.db.write("damage a row", damage).unwrap();
    };
    put(b"\x03{}");
    assert!(matches!(store.output(row.record.key), Err(StoreError::Row { .. })));
    put(b"\x02{");
    assert!(store.outputs().unwrap().is_empty());
    assert!(reason(store.output(row.record.key).unwrap()).contains("row"));
    // Its directory is still there and in the way of nobody.
    assert_eq!(committed(&store, "mcu"), row);

    let meta = store.paths().meta(row.record.key);
    let sound = fs::read_to_string(&meta).unwrap();
    for (damage, told) in [
        (sound.replace("CC", "cc").replace("klipper", "klippeR"), "has changed"),
        (sound[..sound.len() / 2].to_owned(), "has changed"),
    ] {
        fs::write(&meta, damage).unwrap();
        assert!(reason(store.output(row.record.key).unwrap()).contains(told));
        assert_eq!(committed(&store, "mcu"), row);
    }
    fs::remove_file(&meta).unwrap();
    assert!(reason(store.output(row.record.key).unwrap()).contains("cannot be read"));
    assert_eq!(committed(&store, "mcu"), row);
}

#[test]
fn of_many_files_each_look_sees_others_and_few() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    let count = 3 * WINDOW - 10;
    for n in 0..count {
        let name = path(&format!("module-{n:04}.ko"));
        ingest.file(name, Executable::No, &mut n.to_string().as_bytes()).unwrap();
    }
    let row = store.commit(&record("modules"), ingest.finish().unwrap(), None).unwrap();
    let key = row.record.key;
    let dir = store.output_path(&row);
    overwrite(&dir.join("module-0000.ko"), b"longer than before");
    let meta = store.read_meta(key, &store.lookup(key).unwrap().unwrap()).unwrap().unwrap();
    let noticed = [0, 1, 2].map(|turn| store.look_at(&meta, turn).unwrap().is_some());
    assert_eq!(noticed, [true, false, false]);
    let look_ups = (0..30).map(|_| store.output(key).unwrap());
    assert!(look_ups.take_while(|look_up| matches!(look_up, LookUp::Found(_))).count() < 30);
}

#[test]
fn an_alias_is_served_from_the_same_directory_and_falls_with_it() {
    let lab = Lab::new();
    let store = lab.open();
    let mut base_record = record("mcu");
    base_record.marks.insert("degraded sandbox".to_owned());
    let tree = firmware(&store, "mcu");
    let base = store.commit(&base_record, tree, Some(log(&store, "CC\n"))).unwrap();

    let mut later = record("mcu-later");
    later.content = base_record.content;
    let alias = store.alias(&later, base.record.key).unwrap();
    assert!(alias.record.marks.contains("degraded sandbox"));
    assert_eq!(store.output_path(&alias), store.output_path(&base));
    assert_eq!(store.output(later.key).unwrap().found().unwrap(), alias);
    assert!(store.read_log(later.key, Ending::Succeeded, 0).unwrap().is_some());
    // An alias of an alias needs the first one only.
    let mut latest = record("mcu-latest");
    latest.content = base_record.content;
    let second = store.alias(&latest, later.key).unwrap();
    assert_eq!(second.stored_as, base.stored_as);

    overwrite(&store.output_path(&base).join("dict"), b"{ }");
    assert!(matches!(store.output(later.key).unwrap(), LookUp::Dropped { .. }));
    assert!(matches!(store.output(base.record.key).unwrap(), LookUp::Absent));
    assert!(matches!(store.output(latest.key).unwrap(), LookUp::Absent));
    assert_eq!(store.by_content(base.record.content).unwrap(), None);
    assert!(store.outputs().unwrap().is_empty());

    // The base comes back with another tree: what claims to equal it is not served.
    let again = firmware(&store, "mcu");
    store.commit(&base_record, again, None).unwrap();
    store.alias(&latest, base.record.key).unwrap();
    let drop_base = crate::changes::Change::DropOutput { key: base.record.key };
    store.submit("forget the base alone", vec![drop_base]).unwrap();
    let other = firmware(&store, "not reproducible");
    store.commit(&base_record, other, None).unwrap();
    assert!(reason(store.output(latest.key).unwrap()).contains("is gone"));
    assert!(store.output(base.record.key).unwrap().found().is_some());

    let unknown = BuildKey::of(b"unknown");
    let error = store.alias(&record("x"), unknown).unwrap_err();
    assert!(matches!(error, StoreError::UnknownOutput { key } if key == unknown));
}

#[test]
fn commits_from_many_threads_agree() {
    let lab = Lab::new();
    let store = lab.open();
    let rows: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let store = &store;
                scope.spawn(move || {
                    let own = committed(store, &format!("own-{n}"));
                    let shared = committed(store, "shared");
                    assert!(store.output(own.record.key).unwrap().found().is_some());
                    shared
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(rows.iter().all(|row| *row == rows[0]));
    assert_eq!(store.outputs().unwrap().len(), 7);
    for row in store.outputs().unwrap() {
        assert!(store.output(row.record.key).unwrap().found().is_some());
    }
    assert!(names_in(&store.paths().scratch()).is_empty());
}

#[test]
fn outputs_are_listed_newest_first_with_their_last_use() {
    let lab = Lab::new();
    let store = lab.open();
    for (name, created_unix_s) in [("b", 20), ("a", 10), ("c", 30)] {
        let record = OutputRecord { created_unix_s, ..record(name) };
        store.commit(&record, nothing(&store), None).unwrap();
    }
    let listed = |store: &Store| -> Vec<_> {
        let rows = store.outputs().unwrap();
        rows.into_iter().map(|row| (row.record.name, row.last_use_unix_s)).collect()
    };
    store.touch(Thing::Output(record("a").key), 99).unwrap();
    store.touch(Thing::Output(record("a").key), 50).unwrap();
    store.touch(Thing::Output(BuildKey::of(b"unknown")), 60).unwrap();
    let expected = [("c".to_owned(), 30), ("b".to_owned(), 20), ("a".to_owned(), 99)];
    assert_eq!(listed(&store), expected);
    drop(store);
    assert_eq!(listed(&lab.open()), expected);
}

#[test]
fn a_key_is_found_by_its_beginning() {
    let lab = Lab::new();
    let store = lab.open();
    let key = |hex: &str| format!("{hex:0<64}").parse::<BuildKey>().unwrap();
    for hex in ["abcd1", "abcd2", "ffff"] {
        let record = OutputRecord { key: key(hex), ..record("x") };
        store.commit(&record, nothing(&store), None).unwrap();
    }
    super::history::fail(&store, key("abcd3"), "log\n");
    super::history::fail(&store, key("ffff"), "log\n");
    let find = |prefix: &str| store.find(prefix).unwrap();
    assert_eq!(find("abcd"), Found::Many(vec![key("abcd1"), key("abcd2"), key("abcd3")]));
    assert_eq!(find("key:abcd2"), Found::One(key("abcd2")));
    assert_eq!(find("abcd3"), Found::One(key("abcd3")));
    assert_eq!(find("ffff"), Found::One(key("ffff")));
    assert_eq!(find(&key("ffff").to_string()), Found::One(key("ffff")));
    assert_eq!(find("fffff"), Found::None);
    for bad in ["", "abc", "key:abc", "blob:abcd", "ABCD", "abcdefgh", "äbcd", &"0".repeat(65)] {
        assert!(matches!(store.find(bad), Err(StoreError::Prefix { .. })), "{bad}");
    }
}
