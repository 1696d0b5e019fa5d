//! How many outputs can be stored in a second.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kbs_store::Store;

use super::Bench;
use super::index::{Index, commit_small, fresh};
use super::look_up::per_second;
use crate::bench::report::Report;
use crate::bench::rounds::{Contender, interleave};
use crate::{Failure, say};

/// Outputs that each thread stores in a round.
const EACH: u64 = 100;

/// Measures one thread and eight, with files and without.
pub(super) fn measure(report: &mut Report, bench: &Bench, index: &Index) -> Result<(), Failure> {
    say("commits");
    let store = fresh(&bench.path("commits"))?;
    let large = Store::open(&index.state)?;
    let first = large.totals()?.outputs * 1000;
    let files = bench.path("synced");
    std::fs::create_dir(&files)?;
    for threads in [1, 8] {
        let number =
            |round: usize, step: u64| first + (round as u64 * 1000 + threads) * 100_000 + step;
        let took = interleave(
            bench.runs,
            vec![
                Contender::measured(|round| {
                    together(threads, &|step| commit_small(&store, number(round, step)))
                }),
                Contender::measured(|round| {
                    together(threads, &|step| {
                        let filling = index.filling(number(round, step) % 1_000_000_000);
                        Ok(large.fill(vec![filling])?)
                    })
                }),
                Contender::measured(|round| {
                    together(threads, &|step| {
                        write_synced(&files.join(number(round, step).to_string()))
                    })
                }),
            ],
        )?;
        let rate = |took| per_second(EACH * threads, took);
        let name = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        let peer = [("a file of 4 KiB written and synced", rate(took[2]))];
        report.row(&format!("outputs of 3 files stored, {name}"), rate(took[0]), &peer, None);
        let what = format!("rows alone, {}, {name}", index.name());
        report.row(&what, rate(took[1]), &peer, None);
    }
    Ok(())
}

/// Does something on several threads at once, with a number for each step.
fn together(
    threads: u64,
    work: &(dyn Fn(u64) -> Result<(), Failure> + Sync),
) -> Result<Duration, Failure> {
    let start = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    (0..EACH)
                        .try_for_each(|step| work(thread * EACH + step))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Failure::from("a thread panicked"))?.map_err(Failure::from)
        })
    })?;
    Ok(start.elapsed())
}

fn write_synced(path: &Path) -> Result<(), Failure> {
    let mut file = File::create_new(path)?;
    file.write_all(&[7; 4096])?;
    Ok(file.sync_all()?)
}
