//! Random lives of a store, beside a model of it: what something holds is never taken, what was asked
//! for goes, and nothing is ever half there.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::symlink;

use kbs_plan::id::{BuildKey, ContentKey};
use proptest::prelude::*;

use super::{Lab, firmware, record};
use crate::{
    Executable, Holder, Item, Lease, OutputRecord, Policy, Repair, Root, RootKind, Scope,
    SourceEntry, SourceKind, Store, Thing, decide,
};

const NAMES: u8 = 6;

#[derive(Debug, Clone)]
enum Step {
    /// Builds this one, of project `n % 2`.
    Commit(u8),
    /// Finds that `.1` has the content of `.0`.
    Alias(u8, u8),
    Touch(u8),
    Root(u8),
    Unroot(u8),
    Link(u8),
    Unlink(u8),
    Lease(u8),
    Unlease(u8),
    Layer(u8),
    Collect(Policy),
    Sweep,
    Reopen,
    Wait(u64),
}

fn policies() -> impl Strategy<Value = Policy> {
    let older = proptest::option::of(0_u64..40);
    let size = proptest::option::of(0_u64..400);
    (prop::bool::weighted(0.2), older, size, 0_u32..3).prop_map(
        |(everything, older_than_s, max_size_b, keep)| Policy {
            everything,
            older_than_s,
            max_size_b,
            keep,
            free_b: 0,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    prop_oneof![
        4 => name.clone().prop_map(Step::Commit),
        1 => (name.clone(), name.clone()).prop_map(|(of, new)| Step::Alias(of, new)),
        2 => name.clone().prop_map(Step::Touch),
        1 => name.clone().prop_map(Step::Root),
        1 => name.clone().prop_map(Step::Unroot),
        1 => name.clone().prop_map(Step::Link),
        1 => name.clone().prop_map(Step::Unlink),
        1 => name.clone().prop_map(Step::Lease),
        1 => name.clone().prop_map(Step::Unlease),
        1 => name.prop_map(Step::Layer),
        4 => policies().prop_map(Step::Collect),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
        3 => (1_u64..20).prop_map(Step::Wait),
    ]
}

/// What should be known of one output directory.
#[derive(Debug, Clone)]
struct Known {
    project: String,
    created: u64,
    used: u64,
    /// It and those that equal it.
    keys: BTreeSet<BuildKey>,
}

struct Life {
    lab: Lab,
    store: Option<Store>,
    leases: BTreeMap<u8, Lease>,
    now: u64,
    outputs: BTreeMap<BuildKey, Known>,
    layers: BTreeMap<u8, u64>,
    roots: BTreeMap<String, BuildKey>,
    /// Links that are there, and those that are gone: what each kept, and since when.
    links: BTreeMap<u8, (BuildKey, u64)>,
    cut: BTreeMap<u8, (BuildKey, u64)>,
}

fn key(name: u8) -> BuildKey {
    BuildKey::of(format!("mcu-{name}").as_bytes())
}

fn alias_key(of: u8, new: u8) -> BuildKey {
    BuildKey::of(format!("mcu-{of} as {new}").as_bytes())
}

fn layer_name(name: u8) -> [u8; 32] {
    [name + 1; 32]
}

impl Life {
    fn begin() -> Self {
        let lab = Lab::new();
        Self {
            store: Some(lab.open()),
            lab,
            leases: BTreeMap::new(),
            now: 1_800_000_000,
            outputs: BTreeMap::new(),
            layers: BTreeMap::new(),
            roots: BTreeMap::new(),
            links: BTreeMap::new(),
            cut: BTreeMap::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn described(&self, name: u8) -> OutputRecord {
        OutputRecord {
            key: key(name),
            content: ContentKey::of(&[name]),
            project: format!("project-{}", name % 2),
            created_unix_s: self.now,
            ..record(&format!("mcu-{name}"))
        }
    }

    fn link(&self, name: u8) -> std::path::PathBuf {
        self.lab.state.parent().unwrap().join(format!("link-{name}"))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit(name) => {
                let record = self.described(name);
                // Some share a file, all share two.
                let tree = firmware(self.store(), &format!("mcu-{}", name / 2));
                self.store().commit(&record, tree, None).unwrap();
                self.outputs.entry(record.key).or_insert_with(|| Known {
                    project: record.project.clone(),
                    created: record.created_unix_s,
                    used: record.created_unix_s,
                    keys: [record.key].into(),
                });
            }
            Step::Alias(of, new) => {
                let record = OutputRecord { key: alias_key(of, new), ..self.described(of) };
                let is_there = self.outputs.contains_key(&key(of));
                assert_eq!(self.store().alias(&record, key(of)).is_ok(), is_there);
                if let Some(known) = self.outputs.get_mut(&key(of))
                    && known.keys.insert(record.key)
                {
                    known.used = known.used.max(record.created_unix_s);
                    known.created = known.created.max(record.created_unix_s);
                }
            }
            Step::Touch(name) => {
                self.store().touch(Thing::Output(key(name)), self.now).unwrap();
                if let Some(known) = self.outputs.get_mut(&key(name)) {
                    known.used = self.now;
                }
            }
            Step::Root(name) => {
                let root = Root {
                    name: format!("root-{name}"),
                    kind: RootKind::Named,
                    key: key(name),
                    created_unix_s: self.now,
                };
                let is_there = self.outputs.contains_key(&key(name));
                assert_eq!(self.store().add_root(&root).is_ok(), is_there);
                if is_there {
                    self.roots.insert(root.name, root.key);
                }
            }
            Step::Unroot(name) => {
                let name = format!("root-{name}");
                let was_there = self.roots.remove(&name).is_some();
                assert_eq!(self.store().remove_root(&name).unwrap(), was_there);
            }
            Step::Link(name) => self.make_link(name),
            Step::Unlink(name) => {
                if let Some(link) = self.links.remove(&name) {
                    fs::remove_file(self.link(name)).unwrap();
                    self.cut.insert(name, link);
                }
            }
            Step::Lease(name) => {
                let lease = self.store().lease(Thing::Output(key(name)));
                self.leases.insert(name, lease);
            }
            Step::Unlease(name) => drop(self.leases.remove(&name)),
            Step::Layer(name) => self.make_layer(name),
            Step::Collect(policy) => self.collect(&policy),
            Step::Sweep => {
                let swept = self.store().sweep().unwrap();
                assert_eq!(swept.things, 0, "nobody was killed, so nothing is left behind");
            }
            Step::Reopen => {
                self.leases.clear();
                self.store = None;
                self.store = Some(self.lab.open());
                assert!(!self.store().was_left_open());
            }
            Step::Wait(seconds) => self.now += seconds,
        }
    }

    fn make_layer(&mut self, name: u8) {
        let kind = SourceKind::File { executable: Executable::No };
        let entries = [SourceEntry { path: super::path("main.c"), kind }];
        let read = |_| Ok::<_, Infallible>(vec![name; 100]);
        let made = self.store().ingest_layer(layer_name(name), &entries, &read, self.now);
        super::recorded(self.store(), made);
        self.store().touch(Thing::Layer(layer_name(name)), self.now).unwrap();
        self.layers.insert(name, self.now);
    }

    fn make_link(&mut self, name: u8) {
        let Some(row) = self.store().output(key(name)).unwrap().found() else { return };
        let link = self.link(name);
        drop(fs::remove_file(&link));
        symlink(self.store().output_path(&row), &link).unwrap();
        let root = Root {
            name: link.to_str().unwrap().to_owned(),
            kind: RootKind::Link,
            key: key(name),
            created_unix_s: self.now,
        };
        self.store().add_root(&root).unwrap();
        self.cut.remove(&name);
        self.links.insert(name, (key(name), self.now));
    }

    fn is_held(&self, known: &Known) -> bool {
        known.keys.iter().any(|key| {
            // A link may come for a minute after its root.
            let cut = self.cut.values().filter(|(_, since)| self.now - since < 60);
            let links = self.links.values().chain(cut).map(|(root, _)| root);
            let is_rooted = self.roots.values().chain(links).any(|root| root == key);
            is_rooted || self.leases.keys().any(|name| self::key(*name) == *key)
        })
    }

    /// The newest of each project.
    fn newest(&self, keep: u32) -> BTreeSet<BuildKey> {
        let mut newest = BTreeSet::new();
        for project in ["project-0", "project-1"] {
            let of_project = self.outputs.iter().filter(|(_, known)| known.project == project);
            let mut of_project: Vec<_> =
                of_project.map(|(key, known)| (known.created, *key)).collect();
            of_project.sort();
            newest.extend(of_project.iter().rev().take(keep as usize).map(|(_, key)| *key));
        }
        newest
    }

    fn collect(&mut self, policy: &Policy) {
        let store = self.store.take().unwrap();
        let candidates = store.candidates(self.now).unwrap();
        let totals = store.totals().unwrap();
        let on_disk_b = totals.blobs_b + totals.layers_b;
        let mut frees = store.frees();
        let mut freed = |candidate: &crate::Candidate| frees.with(candidate);
        let decisions = decide(candidates, policy, self.now, on_disk_b, &mut freed);

        for decision in &decisions {
            let Item::Thing(Thing::Output(key), _) = &decision.candidate.item else { continue };
            let known = &self.outputs[key];
            assert_eq!(decision.candidate.last_use_unix_s, known.used);
            let says_held = !decision.candidate.held_by.is_empty();
            assert_eq!(says_held, self.is_held(known), "{:?}", decision.candidate.held_by);
            let is_kept = self.is_held(known) || self.newest(policy.keep).contains(key);
            let is_old = policy.older_than_s.is_some_and(|limit| self.now - known.used > limit);
            match (is_kept, policy.everything || is_old) {
                (true, _) => assert!(!decision.reason.goes(), "{decision:?}"),
                (false, true) => assert!(decision.reason.goes(), "{decision:?}"),
                (false, false) => {
                    assert!(!decision.reason.goes() || policy.max_size_b.is_some(), "{decision:?}");
                }
            }
        }
        // Of those that go only to make room, none was used later than one that could have gone.
        let room = |decision: &&crate::Decision| decision.reason == crate::Reason::Room;
        let stays = |decision: &&crate::Decision| decision.reason == crate::Reason::NotAsked;
        let used = |decision: &crate::Decision| decision.candidate.last_use_unix_s;
        let last = decisions.iter().filter(room).map(used).max();
        let first = decisions.iter().filter(stays).map(used).min();
        assert!(last.zip(first).is_none_or(|(last, first)| last <= first));

        let goes: Vec<Item> = decisions
            .iter()
            .filter(|decision| decision.reason.goes())
            .map(|decision| decision.candidate.item.clone())
            .collect();
        let removed = store.remove(&goes, self.now).unwrap();
        assert_eq!(removed.things, goes.len() as u64);
        for item in goes {
            match item {
                Item::Thing(Thing::Output(key), _) => drop(self.outputs.remove(&key)),
                Item::Thing(Thing::Layer(name), _) => drop(self.layers.remove(&(name[0] - 1))),
                other => panic!("{other:?}"),
            }
        }
        if let Some(max_size_b) = policy.max_size_b {
            let totals = store.totals().unwrap();
            let could_go = decisions.iter().any(|decision| stays(&decision));
            assert!(totals.blobs_b + totals.layers_b <= max_size_b || !could_go);
        }
        self.store = Some(store);
    }

    /// Everything that should be there is there and whole, and nothing else is.
    fn check(&self) {
        let store = self.store();
        let rows = store.outputs().unwrap();
        let listed: BTreeSet<_> = rows.iter().map(|row| row.record.key).collect();
        let known: BTreeSet<_> =
            self.outputs.values().flat_map(|known| known.keys.iter().copied()).collect();
        assert_eq!(listed, known);
        for name in self.layers.keys() {
            assert!(store.layer(layer_name(*name)).unwrap().is_some());
        }
        let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
        assert_eq!(seen.findings, []);
        assert_eq!(seen.things, (known.len() + self.layers.len()) as u64);
        let totals = store.totals().unwrap();
        assert_eq!(totals.layers, self.layers.len() as u64);
        // Every blob is used by some output.
        let used: BTreeSet<_> = rows
            .iter()
            .flat_map(|row| {
                let tree = store.tree(row).unwrap();
                tree.files().map(|(_, blob, _)| blob).collect::<Vec<_>>()
            })
            .collect();
        let mut files = BTreeSet::new();
        store
            .each_blob_file(&mut |blob, _, _| {
                files.insert(blob);
                Ok(())
            })
            .unwrap();
        assert_eq!(files, used);
        assert_eq!(totals.blobs, used.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_store_agrees_with_its_model(steps in prop::collection::vec(steps(), 1..40)) {
        let mut life = Life::begin();
        for step in steps {
            life.take(step);
        }
        life.check();
    }
}

#[test]
fn what_holds_an_output_is_told_by_name() {
    let mut life = Life::begin();
    for step in [Step::Commit(0), Step::Commit(1), Step::Root(0), Step::Link(0), Step::Lease(1)] {
        life.take(step);
    }
    let candidates = life.store().candidates(life.now).unwrap();
    let held: BTreeMap<_, _> = candidates
        .into_iter()
        .map(|candidate| (candidate.name.to_string(), candidate.held_by))
        .collect();
    let link = life.link(0).to_str().unwrap().to_owned();
    assert_eq!(held["mcu-0"], [Holder::Root(link), Holder::Root("root-0".to_owned())]);
    assert_eq!(held["mcu-1"], [Holder::Work]);
}

#[test]
fn a_lease_taken_after_the_decision_is_heeded() {
    let mut life = Life::begin();
    life.take(Step::Commit(0));
    let item = Item::Thing(Thing::Output(key(0)), Vec::new());
    let lease = life.store().lease(Thing::Output(key(0)));
    assert_eq!(life.store().remove(std::slice::from_ref(&item), life.now).unwrap().things, 0);
    drop(lease);
    life.take(Step::Root(0));
    assert_eq!(life.store().remove(std::slice::from_ref(&item), life.now).unwrap().things, 0);
    life.take(Step::Unroot(0));
    assert_eq!(life.store().remove(&[item], life.now).unwrap().things, 1);
}
