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

use clap::Subcommand;

use crate::Failure;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Whole `kbs realize` processes: reuse, trivial builds, a cold Klipper, the idle daemon
    Realize(realize::Args),
    /// What the sandbox costs: its start and end, and the CPU time of a Klipper build in it
    Sandbox(sandbox::Args),
}

/// Measures and returns the report.
pub(crate) fn run(bench: &Bench) -> Result<String, Failure> {
    match bench {
        Bench::Realize(args) => realize::run(args),
        Bench::Sandbox(args) => sandbox::run(args),
    }
}
