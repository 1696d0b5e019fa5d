//! How long a start takes after the process before was killed.

use std::time::Instant;

use kbs_store::Store;

use super::index::Index;
use super::served::Daemon;
use super::{Bench, work};
use crate::bench::report::Report;
use crate::bench::rounds::{Contender, interleave};
use crate::{Failure, say};

const BUDGET: &str = "< 1 s";

/// Measures how long the store takes to open, and a daemon to answer.
pub(super) fn measure(report: &mut Report, bench: &Bench, index: &Index) -> Result<(), Failure> {
    say("starts after a kill");
    let open = || {
        let start = Instant::now();
        let store = Store::open(&index.state)?;
        let took = start.elapsed();
        drop(store);
        Ok(took)
    };
    let mut number = Store::open(&index.state)?.totals()?.outputs * 1000;
    let took = interleave(
        bench.runs,
        vec![
            Contender::measured(|_| {
                number += 1000;
                work::kill_a_writer(&index.state, number)?;
                open()
            }),
            Contender::measured(|_| open()),
        ],
    )?;
    let kbs = bench.kbs()?;
    let answer = |number| {
        work::kill_a_writer(&index.state, number)?;
        Ok(Daemon::start(&kbs, &index.state)?.1)
    };
    let what = format!("open {} after kill -9", index.name());
    report.row(&what, took[0], &[("after a clean end", took[1].into())], Some(BUDGET));
    let took = interleave(
        bench.runs,
        vec![
            Contender::measured(|_| {
                number += 1000;
                answer(number)
            }),
            Contender::measured(|_| Ok(Daemon::start(&kbs, &index.state)?.1)),
        ],
    )?;
    let what = "a daemon answers after kill -9 with these rows";
    report.row(what, took[0], &[("after a clean end", took[1].into())], Some(BUDGET));
    Ok(())
}
