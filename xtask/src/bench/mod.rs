//! Measurements, each with a peer beside it in the same run.

mod cpu;
mod image;
mod kconfig;
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
    /// Configuring Klipper and Linux, beside the tools in their trees
    Kconfig(kconfig::Args),
    /// One configuration, made by a process of its own
    #[command(hide = true)]
    KconfigWork(kconfig::WorkArgs),
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
        Bench::Kconfig(args) => kconfig::run(args),
        Bench::KconfigWork(args) => kconfig::work(args),
        Bench::Sandbox(args) => sandbox::run(args),
        Bench::Store(args) => store::run(args),
        Bench::StoreWork(args) => store::work(args),
    }
}
