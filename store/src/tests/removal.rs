//! What is held when it is removed stays, whatever was decided before; and what a collection tells is
//! what it does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::verified::image;
use super::{Lab, firmware, log, record};
use crate::{Item, Policy, Repair, Root, RootKind, Scope, Store, Thing, decide};

fn commit(store: &Store, name: &str) -> crate::OutputRow {
    let tree = firmware(store, name);
    store.commit(&record(name), tree, Some(log(store, "CC\n"))).unwrap()
}

#[test]
fn an_alias_that_is_rooted_after_the_decision_keeps_its_files() {
    let lab = Lab::new();
    let store = lab.open();
    let base = commit(&store, "mcu");
    let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
    // `kbs realize --out-link` of another commit with the same content, while the collection runs.
    let mut again = record("again");
    again.content = base.record.content;
    let alias = store.alias(&again, base.record.key).unwrap();
    let (name, kind) = ("printer".to_owned(), RootKind::Named);
    store.add_root(&Root { name, kind, key: again.key, created_unix_s: 17 }).unwrap();
    let _lease = store.lease(Thing::Output(again.key));

    let removed = store.remove(&items, 17).unwrap();
    assert_eq!(removed.things, 0, "a rooted and leased output was taken: {removed:?}");
    assert!(store.output_path(&alias).exists());
}

#[test]
fn an_image_that_is_named_after_the_decision_stays() {
    let lab = Lab::new();
    let store = lab.open();
    image(&store, [1; 32], &[("bin/cc", "compiler")]);
    let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
    let digest = Thing::Image([1; 32]).to_string();
    store.set_image_name("arm", &digest).unwrap();
    store.remove(&items, 17).unwrap();
    assert!(store.paths().rootfs([1; 32]).exists(), "`arm` stands for an image that is gone");
}

/// A list of candidates, a removal and a check of the database each hold what another one needs.
#[test]
fn collections_and_verifications_do_not_wait_for_each_other_for_ever() {
    let lab = Lab::new();
    let store = Arc::new(lab.open());
    for number in 0..20 {
        commit(&store, &format!("mcu-{number}"));
    }
    let until = Instant::now() + Duration::from_secs(8);
    let forget = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            while Instant::now() < until {
                super::history::fail(&store, record("broken").key, "x\n");
                // What a repair does.
                store.discard(&[Item::Failure(record("broken").key)]).unwrap();
            }
        })
    };
    let list = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            while Instant::now() < until {
                store.candidates(17).unwrap();
            }
        })
    };
    let check = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            while Instant::now() < until {
                store.db.check().unwrap();
            }
        })
    };
    let threads = [forget, list, check];
    let given_up = until + Duration::from_secs(20);
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        let still: Vec<_> = threads.iter().map(thread::JoinHandle::is_finished).collect();
        assert!(Instant::now() < given_up, "[removal, list, check] have ended: {still:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_root_that_is_made_again_while_a_collection_lists_stays() {
    const COUNT: usize = 200;
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let root = |number: usize, created_unix_s| Root {
        name: format!("/nowhere/result-{number}"),
        kind: RootKind::Link,
        key: row.record.key,
        created_unix_s,
    };
    let now = 1_000_000;
    let mut lost = 0;
    for _ in 0..5 {
        (0..COUNT).for_each(|number| store.add_root(&root(number, 17)).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| store.remove(&[], now).unwrap());
            (0..COUNT).for_each(|number| store.add_root(&root(number, now)).unwrap());
        });
        lost += COUNT - store.roots().unwrap().len();
    }
    assert_eq!(lost, 0, "roots that were reported as made are gone");
}

#[test]
fn the_newest_build_of_a_project_is_kept_when_it_equals_an_older_one() {
    let lab = Lab::new();
    let store = lab.open();
    let base = commit(&store, "mcu");
    let mut later = record("later");
    later.created_unix_s += 10;
    let tree = firmware(&store, "later");
    store.commit(&later, tree, None).unwrap();
    let mut newest = record("newest");
    newest.content = base.record.content;
    newest.created_unix_s += 20;
    store.alias(&newest, base.record.key).unwrap();
    let policy = Policy { everything: true, keep: 1, ..Policy::default() };
    let now = newest.created_unix_s + 1;
    let candidates = store.candidates(now).unwrap();
    let decided = decide(candidates, &policy, now, 0, &mut |_| 0);
    let goes: BTreeMap<_, _> =
        decided.into_iter().map(|it| (it.candidate.name.to_string(), it.reason.goes())).collect();
    assert!(!goes["mcu"], "the newest build of the project goes: {goes:?}");
}

#[test]
fn to_list_what_could_go_changes_nothing() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let (name, kind) = ("/not/mounted/result".to_owned(), RootKind::Link);
    store.add_root(&Root { name, kind, key: row.record.key, created_unix_s: 17 }).unwrap();
    store.candidates(1_000_000).unwrap();
    assert_eq!(store.roots().unwrap().len(), 1, "a dry run has forgotten a root");
}

#[test]
fn a_dry_run_and_a_run_count_the_same_bytes() {
    let lab = Lab::new();
    let store = lab.open();
    commit(&store, "mcu");
    let candidates = store.candidates(17).unwrap();
    let mut frees = store.frees();
    let told_b: u64 = candidates.iter().map(|it| frees.with(it)).sum();
    let items: Vec<_> = candidates.into_iter().map(|it| it.item).collect();
    let removed = store.remove(&items, 17).unwrap();
    assert_eq!(told_b, removed.freed_b);
}

/// What nobody can ask for any more, and what takes room, can be collected.
#[test]
fn an_alias_without_its_output_can_be_collected() {
    let lab = Lab::new();
    let store = lab.open();
    let base = commit(&store, "mcu");
    let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
    let mut again = record("again");
    again.content = base.record.content;
    store.alias(&again, base.record.key).unwrap();
    store.remove(&items, 17).unwrap();
    let items: Vec<_> = store.candidates(17).unwrap().into_iter().map(|it| it.item).collect();
    store.remove(&items, 17).unwrap();
    store.sweep().unwrap();
    assert_eq!(store.totals().unwrap().outputs, 0, "a row that nothing takes away");
}

/// Nothing outside of the state directory is ever changed.
#[test]
fn a_planted_link_lets_nothing_outside_be_changed() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let outside = lab.state.parent().unwrap().join("private");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o700)).unwrap();
    let place = store.output_path(&row);
    crate::remove_tree(&place).unwrap();
    std::os::unix::fs::symlink(&outside, &place).unwrap();
    store.remove(&[Item::Thing(Thing::Output(row.record.key), Vec::new())], 17).unwrap();
    let mode = fs::metadata(&outside).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o700, "a private directory is {mode:o} now");
}

#[test]
fn what_is_taken_out_is_gone_and_what_came_to_use_its_blobs_keeps_them() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let item = Item::Thing(Thing::Output(row.record.key), Vec::new());
    let taken = store.take_out(&[item], 17).unwrap();
    assert_eq!(taken.things, 1);
    assert!(store.output(row.record.key).unwrap().found().is_none());
    assert!(!store.output_path(&row).exists() && !store.paths().meta(row.record.key).exists());
    let again = commit(&store, "mcu");
    let removed = store.give_back(taken).unwrap();
    assert_eq!((removed.things, removed.blobs, removed.freed_b), (1, 0, 0));
    assert!(store.output(again.record.key).unwrap().found().is_some());
    let verified = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert!(verified.findings.is_empty(), "{verified:?}");
}

#[test]
fn what_is_never_given_back_is_swept_after_the_next_opening() {
    let lab = Lab::new();
    let store = lab.open();
    let row = commit(&store, "mcu");
    let item = Item::Thing(Thing::Output(row.record.key), Vec::new());
    drop(store.take_out(&[item], 17).unwrap());
    drop(store);
    let store = lab.open();
    assert!(store.was_left_open(), "nobody is told to sweep");
    assert!(store.sweep().unwrap().blobs > 0);
    drop(store);
    assert!(!lab.open().was_left_open());
}
