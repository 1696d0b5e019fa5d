//! What work on a large index takes of memory.

use super::index::Index;
use super::work::{self, Work};
use crate::bench::report::{Figure, Report};
use crate::{Failure, say};

const BUDGET: &str = "< 256 MiB";

/// Measures the peak of each kind of work in a process of its own.
pub(super) fn measure(report: &mut Report, index: &Index) -> Result<(), Failure> {
    say("memory");
    let works = [
        (Work::LookUp, "200000 look-ups"),
        (Work::Decide, "what a collection would take"),
        (Work::VerifySample, "a verification of 1000 of each"),
        (Work::VerifyWhole, "a verification of everything"),
    ];
    for (work, name) in works {
        let output = work::start(work, &index.state, index.rows)?.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("{name} failed").into());
        }
        let status = String::from_utf8(output.stdout)?;
        let peak_b = crate::bench::memory::kib(&status, "VmHWM:")? * 1024;
        let what = format!("peak of memory, {name}");
        report.row(&what, Figure::Bytes(peak_b), &[], Some(BUDGET));
    }
    Ok(())
}
