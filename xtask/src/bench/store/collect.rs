//! The collection of many small outputs, beside that of Nix.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use kbs_store::{Item, Policy, Removed, Store, decide};

use super::Bench;
use super::index::{NOW_UNIX_S, commit_small, fresh};
use super::served::Daemon;
use crate::bench::nix::Nix;
use crate::bench::report::Report;
use crate::bench::rounds::{Contender, interleave, time};
use crate::{Failure, say};

const BUDGET: &str = "≥ 5 × faster";
const THREADS: u64 = 8;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// Everything is gone for everybody.
    Gone,
    /// Its bytes have come back, too.
    Freed,
}

/// Measures the collection of everything where nothing is held, each time a whole process.
pub(super) fn measure(report: &mut Report, bench: &Bench, outputs: usize) -> Result<(), Failure> {
    say(&format!("collection of {outputs} outputs"));
    let nix = Nix::without_builds(bench.dir.path())
        .inspect_err(|error| report.skip("nix-store --gc as a peer", &error.to_string()))
        .ok();
    let ours = |until| Contender::measured(move |_| gc(bench, outputs as u64, until));
    let mut contenders = vec![ours(Until::Gone), ours(Until::Freed)];
    if let Some(nix) = &nix {
        let paths = small_trees(bench, outputs)?;
        contenders.push(Contender::measured(move |_| {
            for paths in paths.chunks(1000) {
                let mut add = nix.store();
                add.arg("--add").args(paths);
                time("nix-store --add", add)?;
            }
            settle(bench)?;
            let mut collect = nix.store();
            collect.arg("--gc");
            time("nix-store --gc", collect)
        }));
    }
    let took = interleave((bench.runs / 2).max(1), contenders)?;
    let peer = took.get(2).map(|took| ("nix-store --gc", (*took).into()));
    let what = format!("collection of {outputs} outputs of 3 files, `kbs gc --all`");
    report.row(&what, took[0], peer.as_slice(), Some(BUDGET));
    report.row("the same with `--wait`: their bytes are free", took[1], peer.as_slice(), None);
    Ok(())
}

/// Times `kbs gc` of a store of small outputs.
fn gc(bench: &Bench, outputs: u64, until: Until) -> Result<Duration, Failure> {
    let state = bench.path("collected");
    let store = fresh(&state)?;
    fill(&store, outputs)?;
    drop(store);
    let kbs = bench.kbs()?;
    let (daemon, _) = Daemon::start(&kbs, &state)?;
    settle(bench)?;
    let collect = |options: &[&str]| {
        let mut command = Command::new(&kbs);
        command.args(["gc", "--all"]).args(options);
        command.env("KBS_STATE", &state).env_remove("KBS_SOCKET");
        time("kbs gc", command)
    };
    let took = match until {
        Until::Gone => collect(&[])?,
        Until::Freed => collect(&["--wait"])?,
    };
    // Its turn comes when that of the first has ended.
    collect(&["--wait"])?;
    drop(daemon);
    let left = Store::open(&state)?.totals()?;
    if (left.outputs, left.blobs) == (0, 0) {
        Ok(took)
    } else {
        Err(format!("the collection left {left:?}").into())
    }
}

/// Takes everything that nothing holds.
pub(super) fn collect(store: &Store) -> Result<Removed, Failure> {
    let candidates = store.candidates(NOW_UNIX_S)?;
    let policy = Policy { everything: true, ..Policy::default() };
    let decisions = decide(candidates, &policy, NOW_UNIX_S, 0, &mut |_| 0);
    let items: Vec<Item> = decisions
        .into_iter()
        .filter(|decision| decision.reason.goes())
        .map(|decision| decision.candidate.item)
        .collect();
    Ok(store.remove(&items, NOW_UNIX_S)?)
}

fn settle(bench: &Bench) -> Result<(), Failure> {
    let mut command = Command::new("sync");
    command.arg("-f").arg(bench.dir.path());
    time("sync -f", command).map(drop)
}

pub(super) fn fill(store: &Store, outputs: u64) -> Result<(), Failure> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (0..outputs)
                        .filter(|number| number % THREADS == thread)
                        .try_for_each(|number| commit_small(store, number))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Failure::from("a thread panicked"))?.map_err(Failure::from)
        })
    })
}

/// What Nix gets: as many trees of the same shape and sizes.
fn small_trees(bench: &Bench, count: usize) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::with_capacity(count);
    for number in 0..count {
        let dir = bench.path(&format!("small/{number}"));
        for (name, size_b) in super::index::SMALL {
            let bytes = super::tree::bytes(&format!("{name} of {number}"), size_b);
            let place = dir.join(name);
            std::fs::create_dir_all(place.parent().unwrap_or(&dir))?;
            std::fs::write(place, bytes)?;
        }
        paths.push(dir);
    }
    Ok(paths)
}
