//! A source tree on its way into the store, beside `cp -a`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kbs_plan::id::{BuildKey, ContentKey};
use kbs_plan::path::RelPath;
use kbs_store::{Incomer, OutputRecord, SourceKind, Store, Usage};

use super::Bench;
use super::index::{NOW_UNIX_S, fresh};
use super::tree::Tree;
use crate::bench::report::Report;
use crate::bench::rounds::{Contender, interleave, time};
use crate::{Failure, say};

const BUDGET: &str = "≤ 1.3 × cp -a";
const AGAIN_BUDGET: &str = "≥ 10 × faster";

/// Measures a layer and an output of the same files, new and known.
pub(super) fn measure(report: &mut Report, bench: &Bench) -> Result<(), Failure> {
    let tree = Tree::new(bench)?;
    say(&format!("ingest of {}", tree.name()));
    let store = fresh(&bench.path("ingest"))?;
    let copy = |name: &str, round: usize| {
        let mut command = Command::new("cp");
        command.arg("-a").arg(&tree.dir).arg(bench.path(&format!("{name}-{round}")));
        time("cp -a", command)
    };
    let sync = || {
        let mut command = Command::new("sync");
        command.arg("-f").arg(bench.dir.path());
        time("sync -f", command)
    };
    // Nothing is removed before the end: some file systems are slow for a while after that.
    let took = interleave(
        bench.runs,
        vec![
            Contender::measured(|round| {
                sync()?;
                Ok(ingest_layer(&store, &tree, 2 * round)?.usable)
            }),
            Contender::measured(|round| {
                sync()?;
                Ok(ingest_layer(&store, &tree, 2 * round + 1)?.recorded)
            }),
            Contender::measured(|round| {
                let store = Store::open(&bench.path(&format!("outputs-{round}")))?;
                sync()?;
                ingest_output(&store, &tree)
            }),
            Contender::measured(|round| {
                sync()?;
                copy("copy", round)
            }),
            Contender::measured(|round| {
                sync()?;
                Ok(copy("synced", round)? + sync()?)
            }),
        ],
    )?;
    let again = interleave(
        bench.runs,
        vec![
            Contender::measured(|round| {
                let start = Instant::now();
                let is_there = store.layer(layer_name(2 * round))?.is_some();
                let took = start.elapsed();
                if is_there { Ok(took) } else { Err("the layer is not there".into()) }
            }),
            Contender::measured(|round| {
                let store = Store::open(&bench.path(&format!("outputs-{round}")))?;
                let start = Instant::now();
                let is_there = store.output(output_key())?.found().is_some();
                let took = start.elapsed();
                if is_there { Ok(took) } else { Err("the output is not there".into()) }
            }),
        ],
    )?;
    let [usable, recorded, output, copied, synced] = took[..] else {
        return Err("a contender is missing".into());
    };
    let name = tree.name();
    let (copied, synced) = (("cp -a", copied.into()), ("cp -a, sync -f", synced.into()));
    report.row(&format!("a layer of {name}, for a build"), usable, &[copied], Some(BUDGET));
    let peers = [synced, copied];
    report.row(&format!("a layer of {name}, synced"), recorded, &peers, Some(BUDGET));
    report.row(&format!("an output of {name}, synced"), output, &peers, Some(BUDGET));
    let first = [("the first time", usable.into())];
    report.row("the layer again", again[0], &first, Some(AGAIN_BUDGET));
    let first = [("the first time", output.into())];
    report.row("the output again", again[1], &first, Some(AGAIN_BUDGET));
    Ok(())
}

fn layer_name(round: usize) -> [u8; 32] {
    *BuildKey::of(&round.to_le_bytes()).as_bytes()
}

fn output_key() -> BuildKey {
    BuildKey::of(b"the tree")
}

/// What a layer took.
pub(super) struct Took {
    /// From the directory to what a build can use.
    usable: Duration,
    /// And to the row.
    recorded: Duration,
}

pub(super) fn ingest_layer(store: &Store, tree: &Tree, number: usize) -> Result<Took, Failure> {
    let Tree { dir, entries, size_b: _ } = tree;
    let read = |number: usize| std::fs::read(dir.join(entries[number].path.as_path()));
    let read = |number: usize| read(number).map_err(Unreadable);
    let start = Instant::now();
    let layer = store.ingest_layer(layer_name(number), entries, &read, NOW_UNIX_S)?;
    let usable = start.elapsed();
    store.record_layers(vec![layer])?;
    Ok(Took { usable, recorded: start.elapsed() })
}

#[derive(Debug)]
struct Unreadable(io::Error);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unreadable {}

/// From the directory to the row.
pub(super) fn ingest_output(store: &Store, tree: &Tree) -> Result<Duration, Failure> {
    let Tree { dir, entries, size_b: _ } = tree;
    let start = Instant::now();
    let mut ingest = store.ingest()?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path.clone();
        match &entry.kind {
            SourceKind::Directory => ingest.directory(path)?,
            SourceKind::Symlink { target } => ingest.symlink(path, target.clone())?,
            SourceKind::File { executable } => {
                let size_b = std::fs::symlink_metadata(dir.join(path.as_path()))?.len();
                files.push(Incomer { path, executable: *executable, size_b });
            }
        }
    }
    ingest.files(files, &|path: &RelPath| open(dir, path))?;
    store.commit(&record(), ingest.finish()?, None)?;
    Ok(start.elapsed())
}

fn open(dir: &Path, path: &RelPath) -> io::Result<std::fs::File> {
    std::fs::File::open(dir.join(path.as_path()))
}

fn record() -> OutputRecord {
    let key = output_key();
    OutputRecord {
        key,
        content: ContentKey::of(key.as_bytes()),
        name: "tree".to_owned(),
        project: "klipper".to_owned(),
        commit: String::new(),
        asked_ref: String::new(),
        version: String::new(),
        config: None,
        toolchain: String::new(),
        derivation: "{}".to_owned(),
        created_unix_s: NOW_UNIX_S,
        who: String::new(),
        phases: Vec::new(),
        usage: Usage::default(),
        warnings: Vec::new(),
        config_differences: Vec::new(),
        marks: BTreeSet::new(),
    }
}
