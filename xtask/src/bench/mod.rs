//! Measurements, each with a peer beside it in the same run.

mod cpu;
mod image;
mod klipper;
mod memory;
mod nix;
mod realize;
mod report;
mod rounds;
mod sandbox;
mod store;

use clap::Subcommand;

use crate::Failure;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Whole `kbs realize` processes: reuse, trivial builds, a cold Klipper, the idle daemon
    Realize(realize::Args),
    /// What the sandbox costs: its start and end, and the CPU time of a Klipper build in it
    Sandbox(sandbox::Args),
    /// What the store does with a million rows, and with the files of a source tree
    Store(store::Args),
    /// One piece of work on a state directory, in a process that can be killed or weighed
    #[command(hide = true)]
    StoreWork(store::WorkArgs),
}

/// Measures and returns the report.
pub(crate) fn run(bench: &Bench) -> Result<String, Failure> {
    match bench {
        Bench::Realize(args) => realize::run(args),
        Bench::Sandbox(args) => sandbox::run(args),
        Bench::Store(args) => store::run(args),
        Bench::StoreWork(args) => store::work(args),
    }
}
