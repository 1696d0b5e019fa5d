//! Every byte of the store compared, beside `b3sum`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use kbs_store::{Repair, Scope};

use super::Bench;
use super::index::fresh;
use super::ingest::{ingest_layer, ingest_output};
use super::tree::Tree;
use crate::bench::report::{Figure, Report};
use crate::bench::rounds::{Contender, interleave, time};
use crate::{Failure, say};

const BUDGET: &str = "≥ 0.80 × b3sum";

/// Measures a verification of a layer and an output of the same files.
pub(super) fn measure(report: &mut Report, bench: &Bench) -> Result<(), Failure> {
    let tree = Tree::new(bench)?;
    let state = bench.path("verified");
    let store = fresh(&state)?;
    ingest_layer(&store, &tree, 0)?;
    ingest_output(&store, &tree)?;
    let mut files = Vec::new();
    list_files(&store.paths().sources(), &mut files)?;
    list_files(&store.paths().outputs(), &mut files)?;
    let what = format!("verify of {} files", files.len());
    say(&what);

    let mut read_b = 0;
    let mut contenders = vec![Contender::measured(|_| {
        let start = Instant::now();
        let seen = store.verify(Scope::Whole, Repair::No, &mut |_| true)?;
        let took = start.elapsed();
        read_b = seen.read_b;
        if seen.findings.is_empty() { Ok(took) } else { Err(format!("{seen:?}").into()) }
    })];
    let b3sum = Command::new("b3sum").arg("--version").stdout(Stdio::null()).status();
    if b3sum.is_ok_and(|status| status.success()) {
        contenders.push(Contender::measured(|_| {
            let mut command = Command::new("b3sum");
            command.arg("--no-names").args(&files);
            time("b3sum", command)
        }));
    } else {
        report.skip("b3sum as a peer", "it is not installed; Debian has the package b3sum");
    }
    let took = interleave(bench.runs, contenders)?;
    #[expect(clippy::cast_precision_loss, reason = "a rate, rounded anyway")]
    let rate =
        |took: std::time::Duration| Figure::MbPerSecond(read_b as f64 / 1e6 / took.as_secs_f64());
    let peer = took.get(1).map(|took| ("b3sum of the same files", rate(*took)));
    report.row(&what, rate(took[0]), peer.as_slice(), Some(BUDGET));
    Ok(())
}

fn list_files(below: &std::path::Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(below)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_files(&entry.path(), files)?;
        } else if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
