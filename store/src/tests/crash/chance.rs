//! Killed at any time, while several threads work.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use kbs_plan::id::{BlobId, ConfigureKey};

use super::super::record;
use super::facts::{Facts, assert_sound, fact, observe, orphans};
use super::scenario::{
    Outcome, commit_as, job, key, record_failure, store_layer, told, told_failure, told_layer,
};
use super::victim::{Part, command, say};
use super::{Place, is_thorough, names_in};
use crate::policy::Item;
use crate::{Repair, Root, RootKind, Scope, Store, Thing};

const THREADS: u32 = 4;

/// Works and reports until it is killed.
pub(super) fn crowd(state: &Path) {
    let store = Store::open(state).unwrap();
    say("ready");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for turn in 0.. {
                    // Other processes have worked here before.
                    let name = format!("{}-{thread}-{turn}", std::process::id());
                    one_turn(store, &name, turn).unwrap();
                    if turn >= 3 {
                        let old = format!("{}-{thread}-{}", std::process::id(), turn - 3);
                        take_away(store, &old, turn).unwrap();
                    }
                }
            });
        }
    });
}

fn layer_of(name: &str) -> [u8; 32] {
    *BlobId::of(name.as_bytes()).as_bytes()
}

fn one_turn(store: &Store, name: &str, turn: u32) -> Outcome {
    commit_as(store, &record(name))?;
    say(&format!("made output {name}"));
    store_layer(store, layer_of(name), name)?;
    say(&format!("made layer {name}"));
    match turn % 4 {
        0 => {
            let (name, kind) = (name.to_owned(), RootKind::Named);
            let kept = key(&name);
            store.add_root(&Root { name: name.clone(), kind, key: kept, created_unix_s: 1 })?;
            say(&format!("made root {name}"));
        }
        1 => {
            record_failure(store, name)?;
            say(&format!("made failure {name}"));
        }
        2 => {
            store.set_image_name(name, "sha256:aa")?;
            say(&format!("made name {name}"));
            store.record_jobs(&[job(name)])?;
            say(&format!("made job {name}"));
        }
        _ => {
            store.remember_configured(ConfigureKey::of(name.as_bytes()), name.as_bytes())?;
            say(&format!("made configured {name}"));
            store.touch(Thing::Output(key(name)), super::facts::USED)?;
        }
    }
    Ok(())
}

fn take_away(store: &Store, old: &str, turn: u32) -> Outcome {
    say(&format!("removes output {old}"));
    say(&format!("removes layer {old}"));
    let items = [
        Item::Thing(Thing::Output(key(old)), Vec::new()),
        Item::Thing(Thing::Layer(layer_of(old)), Vec::new()),
    ];
    store.remove(&items, 1_800_000_000)?;
    // What has a root stays, and what another thread compares with its row at this time.
    let verb = |is_there| if is_there { "made" } else { "removed" };
    say(&format!("{} output {old}", verb(store.lookup(key(old))?.is_some())));
    say(&format!("{} layer {old}", verb(store.layer(layer_of(old))?.is_some())));
    if turn.is_multiple_of(5) {
        store.sweep()?;
    }
    if turn.is_multiple_of(7) {
        let seen = store.verify(Scope::Sample(5), Repair::No, &mut |_| true)?;
        assert_eq!(seen.findings, []);
    }
    Ok(())
}

/// What a state directory must hold, and must not.
#[derive(Debug, Default)]
struct Expected {
    made: BTreeSet<String>,
    /// It may be there or not.
    unsure: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl Expected {
    fn learn(&mut self, line: &str) {
        let Some((verb, what)) = line.split_once(' ') else { return };
        let sets = [&mut self.made, &mut self.unsure, &mut self.removed];
        let chosen = match verb {
            "made" => 0,
            "removes" => 1,
            "removed" => 2,
            _ => return,
        };
        for (number, set) in sets.into_iter().enumerate() {
            if number == chosen {
                set.insert(what.to_owned());
            } else {
                set.remove(what);
            }
        }
    }

    fn compare(&self, found: &Facts, when: &str) {
        for what in &self.made {
            let (name, wanted) = fact_of(what);
            assert_eq!(found.get(&name), Some(&wanted), "{when}: {what} was reported");
        }
        for what in &self.removed {
            let (name, _) = fact_of(what);
            assert_eq!(found.get(&name), None, "{when}: {what} was reported as gone");
        }
        // What nobody was told of is whole, too.
        for (name, is) in found {
            if let Some(what) = name.strip_prefix("output ") {
                assert_eq!(*is, told(what, &[]), "{when}: {name}");
            }
        }
    }
}

fn fact_of(what: &str) -> (String, String) {
    let (kind, name) = what.split_once(' ').unwrap();
    match kind {
        "output" => (what.to_owned(), told(name, &[])),
        "layer" => (fact("layer", layer_of(name)), told_layer(name)),
        "root" => (what.to_owned(), key(name).to_string()),
        "failure" => (what.to_owned(), told_failure(name)),
        "name" => (format!("image {what}"), "sha256:aa".to_owned()),
        "job" => (what.to_owned(), "uid 1000".to_owned()),
        "configured" => {
            (format!("configured {}", ConfigureKey::of(name.as_bytes())), name.to_owned())
        }
        other => panic!("{other}"),
    }
}

/// Numbers that only depend on the first (`SplitMix64`).
struct Chance(u64);

impl Chance {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?.into_string().expect("it is a number");
    Some(text.parse().expect("it is a number"))
}

/// So many kills, and as many state directories as make each hold what ten processes left.
const KILLS: u64 = 30;
const TOGETHER: u64 = 10;

fn kill_by_chance(share: u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number_in("KBS_TEST_SEED").unwrap_or(now.as_secs()) + share;
    let kills = if is_thorough() { number_in("KBS_TEST_KILLS").unwrap() / 2 } else { KILLS };
    say(&format!("KBS_TEST_SEED={} KBS_TEST_KILLS={kills}", seed - share));
    let mut chance = Chance(seed);
    let (mut place, mut expected) = (Place::new(), Expected::default());
    let mut reported = 0;
    for number in 0..kills {
        if number % TOGETHER == 0 {
            (place, expected) = (Place::new(), Expected::default());
        }
        let state = place.state();
        // Also before anything is done.
        let delay = Duration::from_micros(chance.below(120_000));
        let mut child = command(&state, Part::Crowd).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = channel();
        let reader = std::thread::spawn(move || {
            // A line that was cut off was not told.
            let whole = |line: &String| line.ends_with('\n');
            let mut lines = lines;
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|count| count > 0) && whole(&line) {
                sender.send(line.trim_end().to_owned()).unwrap();
                line.clear();
            }
        });
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        for line in receiver {
            expected.learn(&line);
            reported += 1;
        }
        let err = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        let when = format!("seed {seed}, kill {number} after {delay:?}");
        assert!(!err.contains("panicked"), "{when}: {err}");
        let store = Store::open(&state).unwrap_or_else(|error| panic!("{when}: {error:?}"));
        assert_eq!(names_in(&store.paths().scratch()), [""; 0], "{when}");
        expected.compare(&observe(&store), &when);
        assert_sound(&store, &when);
        store.sweep().unwrap();
        assert_eq!(orphans(&store), [""; 0], "{when}: orphans");
        expected.compare(&observe(&store), &when);
    }
    assert!(reported > kills, "the processes did next to nothing");
}

#[test]
fn a_kill_at_any_time_loses_nothing_1() {
    kill_by_chance(0);
}

#[test]
fn a_kill_at_any_time_loses_nothing_2() {
    kill_by_chance(1);
}
