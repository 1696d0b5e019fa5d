//! Chores: benchmarks and generated files.
//!
//! Layer: tools. Not part of the product; `cargo xtask --help` lists what it does.

mod bench;
mod binaries;
mod generate;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What went wrong, for the person at the terminal.
type Failure = Box<dyn std::error::Error>;

/// Chores of this repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Measure kbs beside its peers, in one run
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Write man pages and shell completions below the target directory
    Generate,
}

fn main() -> ExitCode {
    let Args { chore } = Args::parse();
    let done = match chore {
        Chore::Bench(bench) => bench::run(&bench),
        Chore::Generate => generate::run(),
    };
    match done.and_then(|text| Ok(std::io::stdout().write_all(text.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr.
fn say(line: &str) {
    // A closed terminal is no reason to stop measuring.
    drop(writeln!(std::io::stderr(), "{line}"));
}
