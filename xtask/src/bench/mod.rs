//! Measurements, each with a peer beside it in the same run.

mod klipper;
mod memory;
mod nix;
mod realize;
mod report;
mod rounds;

use clap::Subcommand;

use crate::Failure;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Whole `kbs realize` processes: reuse, trivial builds, a cold Klipper, the idle daemon
    Realize(realize::Args),
}

/// Measures and returns the report.
pub(crate) fn run(bench: &Bench) -> Result<String, Failure> {
    match bench {
        Bench::Realize(args) => realize::run(args),
    }
}
