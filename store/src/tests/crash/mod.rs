//! Killed at every step, and refused every step: what was reported is there, and what is there is
//! whole.

mod chance;
mod facts;
mod scenario;
pub(super) mod victim;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::names_in;
use crate::{Repair, Scope, Store};
use facts::{assert_sound, differences, observe, orphans};
use scenario::{ACTS, Stage, facts_after};
use victim::{Part, run};

/// A place for state directories: in memory where that can be had, because a sync there costs nothing.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let make = || tempfile::Builder::new().prefix("kbs-crash-").tempdir_in("/dev/shm");
        Self { dir: make().or_else(|_| tempfile::tempdir()).unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Outputs are read-only, which stops whoever is not root from removing them plainly.
        drop(crate::remove_tree(&self.state()));
    }
}

/// Every kind of step that there is.
const KINDS: [&str; 13] = [
    "create a directory",
    "create a file",
    "link",
    "make a symbolic link",
    "remove a file",
    "rename",
    "resize the database",
    "set a mode",
    "set a mode and time",
    "sync",
    "sync the database",
    "write",
    "write to the database",
];

/// Opens what a process has left after it had reported the first `done` acts, and looks at
/// everything; then does the rest.
fn inspect(state: &Path, done: usize, when: &str) {
    let act = ACTS.get(done);
    let when = format!("{when}, in `{}`", act.map_or("the end", |act| act.name));
    let store = Store::open(state).unwrap_or_else(|error| panic!("{when}: {error:?}"));
    assert_eq!(names_in(&store.paths().scratch()), [""; 0], "{when}: scratch");
    let at_stake = act.map_or(&[][..], |act| act.at_stake);
    if at_stake.contains(&"output rpi") {
        // It was damaged on purpose, or is.
        store.verify(Scope::Whole, Repair::Yes, &mut |_| true).unwrap();
    }
    assert_sound(&store, &when);
    let (before, after) = (facts_after(done), facts_after((done + 1).min(ACTS.len())));
    let mut found = observe(&store);
    for name in at_stake {
        // Gone, or as it should be.
        if !found.contains_key(*name) {
            found.extend(before.get_key_value(*name).map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    assert_eq!(differences(&found, &before, &after), [""; 0], "{when}");

    let listed = observe(&store);
    store.sweep().unwrap();
    assert_eq!(orphans(&store), [""; 0], "{when}: orphans");
    assert_eq!(observe(&store), listed, "{when}: swept too much");

    let mut stage = Stage::with(store);
    for act in &ACTS[done..] {
        (act.run)(&mut stage).unwrap_or_else(|error| panic!("{when}, {}: {error:?}", act.name));
    }
    is_complete(stage.store(), &when);
}

/// Everything was done.
fn is_complete(store: &Store, when: &str) {
    let all = facts_after(ACTS.len());
    assert_eq!(differences(&observe(store), &all, &all), [""; 0], "{when}, at the end");
    assert_sound(store, when);
    store.sweep().unwrap();
    assert_eq!(orphans(store), [""; 0], "{when}: orphans at the end");
}

/// The steps of the scenario, by what each is for and what was being done.
fn count() -> Vec<(usize, String)> {
    let place = Place::new();
    let report = run(&place.state(), Part::Scenario, "count");
    assert!(report.ended && report.done == ACTS.len(), "{}", report.said);
    let store = Store::open(&place.state()).unwrap();
    is_complete(&store, "nothing happened");
    report.steps
}

#[test]
fn every_kind_of_step_is_known() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let steps = count();
    for (_, name) in &steps {
        *kinds.entry(name).or_default() += 1;
    }
    victim::say(&format!("{} steps: {kinds:?}", steps.len()));
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), KINDS);
}

/// The tests that try every step share the work.
const SHARES: usize = 4;

/// Kills at every step whose turn it is.
fn kill_at(share: usize) {
    let steps = count();
    for n in (share..steps.len()).step_by(SHARES) {
        let place = Place::new();
        let report = run(&place.state(), Part::Scenario, &format!("kill:{n}"));
        let (done, name) = &steps[n];
        assert!(!report.ended && report.done == *done, "step {n} comes: {}", report.said);
        inspect(&place.state(), report.done, &format!("killed at step {n}, {name}"));
    }
}

#[test]
fn a_kill_at_any_step_loses_nothing_1() {
    kill_at(0);
}

#[test]
fn a_kill_at_any_step_loses_nothing_2() {
    kill_at(1);
}

#[test]
fn a_kill_at_any_step_loses_nothing_3() {
    kill_at(2);
}

#[test]
fn a_kill_at_any_step_loses_nothing_4() {
    kill_at(3);
}

/// Kills a process that opens the directory at its first step, the next one at its second, until one
/// comes to its end; says how many were killed.
fn kill_openings(state: &Path, part: Part, after_each: &dyn Fn(&str)) -> usize {
    for m in 0..10_000 {
        let report = run(state, part, &format!("kill:{m}"));
        if report.ended {
            return m;
        }
        after_each(&format!("{part:?} killed at its step {m}"));
    }
    panic!("opening has no end");
}

/// So far apart are the kills after which opening is killed, too.
const FAR: usize = 29;

#[test]
fn a_kill_at_any_step_of_opening_after_a_kill_loses_nothing() {
    let steps = count();
    let mut kills = 0;
    for n in (0..steps.len()).step_by(if is_thorough() { 1 } else { FAR }) {
        let place = Place::new();
        let report = run(&place.state(), Part::Scenario, &format!("kill:{n}"));
        kills += 1 + kill_openings(&place.state(), Part::Open, &|_| {});
        inspect(&place.state(), report.done, &format!("killed at step {n}, {}", steps[n].1));
    }
    victim::say(&format!("{kills} kills"));
    assert!(kills > 200, "{kills}");
}

#[test]
fn a_kill_at_any_step_of_making_the_index_again_loses_nothing() {
    let place = Place::new();
    assert!(run(&place.state(), Part::Scenario, "count").ended);
    let kills = kill_openings(&place.state(), Part::Rebuild, &|when| {
        is_complete(&Store::open(&place.state()).unwrap(), when);
    });
    victim::say(&format!("{kills} kills"));
    assert!(kills > 20, "{kills}");
    is_complete(&Store::open(&place.state()).unwrap(), "made again");
    assert!(place.state().join("kbs.redb.replaced").exists());
}

/// How a change is refused.
const ERRORS: [(&str, &str); 2] = [("ENOSPC", "no space left"), ("EIO", "Input/output error")];

/// Whether everything is tried that can be, and not only what a short run has time for.
fn is_thorough() -> bool {
    std::env::var_os("KBS_TEST_KILLS").is_some()
}

/// Refuses every step whose turn it is, in turn with each error.
fn refuse_at(share: usize) {
    let steps = count();
    let mut unheard = BTreeSet::new();
    for n in (share..steps.len()).step_by(SHARES) {
        for (number, (error, _)) in ERRORS.iter().enumerate() {
            if n / SHARES % ERRORS.len() != number && !is_thorough() {
                continue;
            }
            let place = Place::new();
            let report = run(&place.state(), Part::Scenario, &format!("{error}:{n}"));
            let (done, name) = &steps[n];
            let when = format!("{error} at step {n}, {name}");
            assert!(report.ended && report.refused.is_some(), "{when}: {}", report.said);
            if let Some((act, told)) = report.failed {
                assert_eq!(act, *done, "{when}: {told}");
                let path = place.state().display().to_string();
                assert!(told.contains(&path), "{when}: no path in {told}");
                is_explained(error, &told, &when);
            } else {
                let closes = ACTS.get(*done).is_none_or(|act| act.name.starts_with("open"));
                assert!(closes, "{when}: nobody was told");
                unheard.insert(name.clone());
            }
            let store = Store::open(&place.state()).unwrap_or_else(|e| panic!("{when}: {e:?}"));
            assert_eq!(names_in(&store.paths().scratch()), [""; 0], "{when}: scratch");
            is_complete(&store, &when);
        }
    }
    // Closing the database, or the directory, is all that may fail unheard: what matters is synced.
    let closings =
        ["write to the database", "sync the database", "resize the database", "remove a file"];
    assert!(unheard.iter().all(|name| closings.contains(&name.as_str())), "{unheard:?}");
}

#[track_caller]
fn is_explained(error: &str, told: &str, when: &str) {
    let words = ERRORS.iter().find(|(name, _)| *name == error).expect("it is one of them").1;
    let is_told = told.contains(words) || told.contains("No space left on device");
    assert!(is_told, "{when}: no reason in {told}");
}

#[test]
fn a_change_that_is_refused_is_told_and_loses_nothing_1() {
    refuse_at(0);
}

#[test]
fn a_change_that_is_refused_is_told_and_loses_nothing_2() {
    refuse_at(1);
}

#[test]
fn a_change_that_is_refused_is_told_and_loses_nothing_3() {
    refuse_at(2);
}

#[test]
fn a_change_that_is_refused_is_told_and_loses_nothing_4() {
    refuse_at(3);
}
