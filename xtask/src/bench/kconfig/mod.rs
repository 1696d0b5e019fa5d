//! Configuring projects: kbs's own engine beside the projects' tools.
//!
//! Each comparison is of whole processes that do the same: read the Kconfig files and a
//! configuration, decide, and write the configuration. Ours is this program once more.

mod klipper;
mod linux;
mod tree;
mod work;

use std::path::PathBuf;
use std::process::Command;

use super::memory::kib;
use super::report::Report;
use crate::{Failure, binaries};

pub(crate) use self::work::{WorkArgs, work};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Klipper repository or tree
    #[arg(long, value_name = "PATH")]
    klipper: Option<PathBuf>,
    /// A Linux tree in which scripts/kconfig/conf is built
    #[arg(long, value_name = "PATH")]
    linux: Option<PathBuf>,
    /// A directory with a kconfiglib.py, for Linux
    #[arg(long, value_name = "PATH")]
    kconfiglib: Option<PathBuf>,
    /// Rounds of everything
    #[arg(long, value_name = "N", default_value_t = 21)]
    runs: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures and returns the report.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    if cfg!(debug_assertions) {
        return binaries::again_in_release();
    }
    let Args { klipper, linux, kconfiglib, runs, json } = args;
    let mut report = Report::new();
    klipper::measure(&mut report, klipper.as_deref(), *runs)?;
    linux::measure(&mut report, linux.as_deref(), kconfiglib.as_deref(), *runs)?;
    if *json { report.json() } else { Ok(report.markdown()) }
}

/// This program, as one that configures a project.
fn ours() -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "kconfig-work"]);
    command.env_clear();
    Ok(command)
}

/// The most memory that a process held at once, in bytes, as it tells itself at its end.
fn told_peak_b(status: &str) -> Result<u64, Failure> {
    Ok(kib(status, "VmHWM:")? * 1024)
}
