//! Killed at any instruction: what was reported is there, and what is there is whole.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kbs_plan::id::BuildKey;
use kbs_plan::tree::Tree;

use super::{Lab, firmware, log, names_in, record};
use crate::check::{Depth, Extent, Listed, find_damage};
use crate::layout::Purpose;
use crate::meta::OutputMeta;
use crate::outputs::output_row;
use crate::row::StoredAs;
use crate::{LookUp, OutputRow, Store};

fn meta_of(tree: &Tree) -> OutputMeta {
    let record = record("mcu");
    let stored_as = StoredAs { key: record.key, name: record.name.clone() };
    OutputMeta::new(&output_row(&record, tree, stored_as, None), tree)
}

/// Stops before the next step as a kill would: without any clean-up of what was staged.
fn kill<T>(staged: T, store: Store) {
    std::mem::forget(staged);
    drop(store);
}

fn commits_as_if_nothing_had_been(lab: &Lab) {
    let store = lab.open();
    assert!(names_in(&store.paths().scratch()).is_empty());
    assert!(matches!(store.output(record("mcu").key).unwrap(), LookUp::Absent));
    let tree = firmware(&store, "mcu");
    let row = store.commit(&record("mcu"), &tree, Some(log(&store, "CC\n"))).unwrap();
    assert_whole(&store, &row);
}

/// Compares every byte.
fn assert_whole(store: &Store, row: &OutputRow) {
    let tree = store.tree(row).unwrap();
    let listed: Vec<Listed<'_>> = tree.iter().collect();
    let how = (Purpose::Output, Extent::Whole);
    let damage = find_damage(&store.output_path(row), &listed, how, Depth::Everything).unwrap();
    assert_eq!(damage, None);
    assert_eq!(store.output(row.record.key).unwrap().found().as_ref(), Some(row));
}

#[test]
fn while_bytes_come_in() {
    let lab = Lab::new();
    let store = lab.open();
    let mut ingest = store.ingest().unwrap();
    let bytes = vec![1; 300_000];
    ingest.file(super::path("a"), crate::Executable::No, &mut bytes.as_slice()).unwrap();
    // The borrow ends here; the staging directory stays, as after a kill.
    std::mem::forget(ingest);
    std::mem::forget(log(&store, "CC\n"));
    assert_eq!(names_in(&store.paths().scratch()).len(), 2);
    drop(store);
    commits_as_if_nothing_had_been(&lab);
}

#[test]
fn with_blobs_but_nothing_that_names_them() {
    let lab = Lab::new();
    let store = lab.open();
    firmware(&store, "mcu");
    drop(store);
    commits_as_if_nothing_had_been(&lab);
}

#[test]
fn with_the_output_staged() {
    let lab = Lab::new();
    let store = lab.open();
    let tree = firmware(&store, "mcu");
    let stage = store.stage_output(&meta_of(&tree)).unwrap();
    drop(tree);
    kill(stage, store);
    commits_as_if_nothing_had_been(&lab);
}

#[test]
fn with_the_output_in_place_and_no_row() {
    let lab = Lab::new();
    let store = lab.open();
    let tree = firmware(&store, "what an earlier attempt made");
    let meta = meta_of(&tree);
    let stage = store.stage_output(&meta).unwrap();
    store.place_output(&meta.row, &stage, Some(log(&store, "CC\n"))).unwrap();
    assert!(store.output_path(&meta.row).is_dir());
    drop(tree);
    kill(stage, store);
    commits_as_if_nothing_had_been(&lab);
}

#[test]
fn with_a_database_half_made() {
    let lab = Lab::new();
    let store = lab.open();
    let database = store.paths().database();
    drop(store);
    std::fs::rename(&database, lab.state.join("scratch/new.redb")).unwrap();
    commits_as_if_nothing_had_been(&lab);
}

const VICTIM: &str = "tests::killed::the_victim";
const STATE: &str = "KBS_TEST_VICTIM_STATE";

/// Commits and reports until it is killed. Does nothing unless it is started by the test below.
#[test]
fn the_victim() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let store = Store::open(Path::new(&state)).unwrap();
    let begun = store.outputs().unwrap().len();
    for n in begun.. {
        let name = format!("mcu-{n}");
        let tree = firmware(&store, &name);
        let row = store.commit(&record(&name), &tree, Some(log(&store, "CC\n"))).unwrap();
        store.touch(crate::Thing::Output(row.record.key), 1_900_000_000).unwrap();
        #[expect(clippy::print_stdout, reason = "how the other process is told")]
        {
            println!("\ndone {}", row.record.key);
        }
    }
}

#[test]
fn anywhere_loses_nothing_that_was_reported() {
    let lab = Lab::new();
    let mut reported: Vec<BuildKey> = Vec::new();
    for round in 0..8 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([VICTIM, "--exact", "--nocapture"])
            .env(STATE, &lab.state)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // Reads on after the kill: what was written before it was reported too.
        let mut done = 0;
        for line in lines.map_while(Result::ok) {
            if let Some(key) = line.strip_prefix("done ") {
                reported.push(key.parse().unwrap());
                done += 1;
                if done == 1 + round % 3 {
                    victim.kill().unwrap();
                }
            }
        }
        victim.wait().unwrap();
        assert!(done > round % 3, "the victim ended by itself");

        let store = lab.open();
        assert!(names_in(&store.paths().scratch()).is_empty());
        for key in &reported {
            let row = store.output(*key).unwrap().found().expect("reported, so it is there");
            assert_whole(&store, &row);
        }
        for row in store.outputs().unwrap() {
            assert_whole(&store, &row);
        }
    }
}
