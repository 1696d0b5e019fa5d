//! What a state directory holds, read without trust in what is tested: rows through the store, bytes
//! file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use kbs_plan::id::{BlobId, ConfigureKey};
use redb::ReadableTable as _;

use crate::layout::Variant;
use crate::row::Ending;
use crate::tables::{BLOBS, CONFIGURED, USES};
use crate::{Repair, Scope, Store, Thing};

/// What is there, by a name such as `output mcu`, and how it is.
pub(super) type Facts = BTreeMap<String, String>;

/// The least that counts as a use: what the tests touch things with.
pub(super) const USED: u64 = 1_900_000_000;

/// What the fact of a layer or an image is called.
pub(super) fn fact(kind: &str, name: [u8; 32]) -> String {
    let [a, b, c, d, ..] = name;
    format!("{kind} {:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// How one file of a tree is told.
pub(super) fn file_line(mode: u32, path: &str, bytes: &[u8]) -> String {
    format!("{mode:04o} {path} {}", &BlobId::of(bytes).hex()[..16])
}

/// Every entry below `top` and `top` itself, byte by byte.
fn read_tree(top: &Path) -> String {
    let mut lines = Vec::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(place) = ahead.pop() {
        let path = place.strip_prefix(top).unwrap().display().to_string();
        let facts = match fs::symlink_metadata(&place) {
            Ok(facts) => facts,
            Err(error) => return format!("{path}: {error}"),
        };
        let mode = facts.mode() & 0o7777;
        let line = if facts.is_dir() {
            ahead.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            format!("{mode:04o} {path}/")
        } else if facts.is_symlink() {
            format!("{path} -> {}", fs::read_link(&place).unwrap().display())
        } else {
            file_line(mode, &path, &fs::read(&place).unwrap())
        };
        assert!(facts.mtime() == 1 || path.is_empty(), "{} has a time", place.display());
        lines.push(line);
    }
    lines.sort();
    lines.join("\n")
}

/// Everything that the store says it has, as it is on the disk.
pub(super) fn observe(store: &Store) -> Facts {
    let mut facts = Facts::new();
    for row in store.outputs().unwrap() {
        let key = row.record.key;
        let log = store.read_log(key, Ending::Succeeded, 0).unwrap();
        let log = log.map(|log| std::io::read_to_string(log).unwrap());
        let marks: Vec<_> = row.record.marks.iter().cloned().collect();
        let tree = read_tree(&store.output_path(&row));
        let told = format!("{tree}\nlog {log:?} marks {marks:?}");
        facts.insert(format!("output {}", row.record.name), told);
        if let Some(content) = store.by_content(row.record.content).unwrap() {
            let is_listed = store.lookup(content).unwrap().is_some();
            assert!(is_listed, "the content of {} leads nowhere", row.record.name);
        }
    }
    let mut rows = 0;
    store.each_output(&mut |_, _| rows += 1).unwrap();
    assert_eq!(rows, store.outputs().unwrap().len(), "every row has its file below meta/");
    for row in store.failures().unwrap() {
        let log = store.read_log(row.record.key, Ending::Failed, 0).unwrap();
        let log = log.map(|log| std::io::read_to_string(log).unwrap());
        let told = format!("{} log {log:?}", row.record.reason);
        facts.insert(format!("failure {}", row.record.name), told);
    }
    for (thing, _) in store.tree_rows().unwrap() {
        let (name, top) = match thing {
            Thing::Layer(name) => (fact("layer", name), store.paths().layer(name)),
            Thing::Image(name) => (fact("image", name), store.paths().rootfs(name)),
            Thing::Output(_) => unreachable!("outputs are listed above"),
        };
        facts.insert(name, read_tree(&top));
    }
    for root in store.roots().unwrap() {
        let name = Path::new(&root.name).file_name().unwrap().to_str().unwrap();
        facts.insert(format!("root {name}"), root.key.to_string());
    }
    for (name, digest) in store.image_names().unwrap() {
        facts.insert(format!("image name {name}"), digest);
    }
    for job in store.jobs(1000).unwrap() {
        facts.insert(format!("job {}", job.name), job.who);
    }
    observe_tables(store, &mut facts);
    facts
}

fn observe_tables(store: &Store, facts: &mut Facts) {
    let tables = store.db.read("observe", |txn| {
        let mut rows = Facts::new();
        for row in txn.open_table(CONFIGURED)?.iter()? {
            let (key, text) = row?;
            let key: ConfigureKey = key.value();
            let text = String::from_utf8_lossy(text.value()).into_owned();
            rows.insert(format!("configured {key}"), text);
        }
        for row in txn.open_table(USES)?.iter()? {
            let (thing, used) = row?;
            let thing = Thing::from_bytes(thing.value()).unwrap();
            if used.value() >= USED {
                rows.insert(format!("use of {thing}"), used.value().to_string());
            }
        }
        Ok(rows)
    });
    facts.extend(tables.unwrap());
}

/// Compares everything with its row, to the last byte.
pub(super) fn assert_sound(store: &Store, when: &str) {
    let verified = store.verify(Scope::Whole, Repair::No, &mut |_| true).unwrap();
    assert_eq!(verified.findings, [], "{when}");
}

/// Looks for what no row names, without the code that removes it.
pub(super) fn orphans(store: &Store) -> Vec<String> {
    let layout = store.paths();
    let mut named = BTreeSet::new();
    for row in store.outputs().unwrap() {
        let key = row.record.key.hex();
        named.insert(format!("outputs/{}-{}", row.stored_as.key.hex(), row.stored_as.name));
        named.insert(format!("meta/{key}.json"));
        if row.stored_as.key == row.record.key {
            named.insert(format!("logs/{key}.zst"));
        }
    }
    for row in store.failures().unwrap() {
        let key = row.record.key.hex();
        named.insert(format!("meta/{key}.failed.json"));
        named.insert(format!("logs/{key}.failed.zst"));
    }
    for (thing, _) in store.tree_rows().unwrap() {
        let text = thing.to_string();
        let (kind, hex) = text.split_once(':').unwrap();
        let kind = if kind == "sha256" { "image" } else { kind };
        named.insert(format!("meta/{kind}-{hex}.json"));
        if kind == "layer" {
            named.insert(format!("sources/{hex}"));
        }
    }
    named.insert("meta/image-names.json".to_owned());
    let mut orphans = Vec::new();
    for dir in ["outputs", "sources", "meta", "logs", "scratch"] {
        for name in super::super::names_in(&layout.root().join(dir)) {
            let name = format!("{dir}/{name}");
            if !named.contains(&name) {
                orphans.push(name);
            }
        }
    }
    orphans.extend(orphaned_blobs(store));
    orphans
}

/// Blobs that nothing is made of, and rows of blobs without a file.
fn orphaned_blobs(store: &Store) -> Vec<String> {
    let layout = store.paths();
    let cloned = store.cloned_blobs().unwrap();
    let (mut orphans, mut files) = (Vec::new(), BTreeSet::new());
    for dir in super::super::names_in(&layout.blobs()) {
        for name in super::super::names_in(&layout.blobs().join(&dir)) {
            let path = format!("blobs/{dir}/{name}");
            let (blob, _) = Variant::of_file_name(&name).unwrap_or_else(|| panic!("{path}"));
            let links = fs::symlink_metadata(layout.root().join(&path)).unwrap().nlink();
            if links < 2 && !cloned.contains(&blob) {
                orphans.push(path);
            }
            files.insert(blob);
        }
    }
    let rows = store.db.read("list the blobs", |txn| {
        let mut rows = BTreeSet::new();
        for row in txn.open_table(BLOBS)?.iter()? {
            rows.insert(row?.0.value());
        }
        Ok(rows)
    });
    orphans.extend(rows.unwrap().difference(&files).map(|blob| format!("the row of {blob}")));
    orphans
}

/// What is neither as it was nor as it was to become.
pub(super) fn differences(found: &Facts, before: &Facts, after: &Facts) -> Vec<String> {
    let names: BTreeSet<_> = found.keys().chain(before.keys()).chain(after.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let (is, was, becomes) = (found.get(name), before.get(name), after.get(name));
        if is != was && is != becomes {
            differences.push(format!("{name}: it is {is:#?}, was {was:#?}, becomes {becomes:#?}"));
        }
    }
    differences
}
