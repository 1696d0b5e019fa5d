//! What work on a large index takes of the daemon's memory.

use kbs_proto::pb;

use super::Bench;
use super::index::Index;
use super::served::Daemon;
use crate::bench::report::{Figure, Report};
use crate::{Failure, say};

const BUDGET: &str = "< 256 MiB";

/// What a daemon is asked for.
#[derive(Debug, Clone, Copy)]
enum Work {
    LookUps,
    TellCollection,
    Sample,
    Everything,
}

/// Measures the peak of each kind of work.
pub(super) fn measure(report: &mut Report, bench: &Bench, index: &Index) -> Result<(), Failure> {
    let works = [
        (Work::LookUps, "20000 look-ups"),
        (Work::TellCollection, "telling what a collection would take"),
        (Work::Sample, "a verification of 1000 things and blobs"),
        (Work::Everything, "a verification of everything, rows without files"),
    ];
    for (work, name) in works {
        say(&format!("memory of {name}"));
        let (daemon, _) = Daemon::start(&bench.kbs()?, &index.state)?;
        do_it(&daemon, work, index)?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
        let peak_b = crate::bench::memory::kib(&status, "VmHWM:")? * 1024;
        let what = format!("most memory of a daemon, {name}");
        report.row(&what, Figure::Bytes(peak_b), &[], Some(BUDGET));
    }
    Ok(())
}

fn do_it(daemon: &Daemon, work: Work, index: &Index) -> Result<(), Failure> {
    let (runtime, mut client) = daemon.store();
    runtime.block_on(async {
        match work {
            Work::LookUps => {
                for number in 0..20_000 {
                    let keys = vec![Index::key(number * 7919 % index.rows).to_string()];
                    client.query(pb::QueryRequest { keys }).await?;
                }
            }
            Work::TellCollection => {
                let policy = pb::CollectPolicy { keep: Some(2), ..Default::default() };
                let request = pb::CollectRequest { dry_run: true, policy: Some(policy) };
                let mut events = client.collect(request).await?.into_inner();
                while events.message().await?.is_some() {}
            }
            Work::Sample | Work::Everything => {
                let sample = matches!(work, Work::Sample).then_some(1000);
                let request = pb::VerifyRequest { sample, repair: false };
                let mut events = client.verify(request).await?.into_inner();
                while events.message().await?.is_some() {}
            }
        }
        Ok(())
    })
}
