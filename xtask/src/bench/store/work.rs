//! Work that a process of its own does: one that is killed, or one that a profiler looks at.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kbs_store::Store;

use super::collect::{collect, fill};
use super::index::commit_small;
use crate::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    #[arg(value_enum)]
    work: Work,
    state: PathBuf,
    #[arg(default_value_t = 0)]
    number: u64,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Work {
    /// Open it, and write until the end.
    Write,
    /// Store small outputs.
    Fill,
    /// Collect everything.
    Collect,
}

/// Does it.
pub(crate) fn work(args: &WorkArgs) -> Result<String, Failure> {
    let WorkArgs { work, state, number } = args;
    let store = Store::open(state)?;
    match work {
        Work::Write => write(&store, *number)?,
        Work::Fill => fill(&store, *number)?,
        Work::Collect => {
            collect(&store)?;
        }
    }
    Ok(String::new())
}

fn write(store: &Store, number: u64) -> Result<(), Failure> {
    for step in 0.. {
        commit_small(store, number + step)?;
        if step == 20 {
            std::io::stdout().write_all(b"!")?;
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

/// Starts it.
pub(super) fn start(work: Work, state: &Path, number: u64) -> Result<Child, Failure> {
    use clap::ValueEnum as _;
    let name = work.to_possible_value().ok_or("every work has a name")?;
    Ok(Command::new(std::env::current_exe()?)
        .args(["bench", "store-work", name.get_name()])
        .arg(state)
        .arg(number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?)
}

/// Has a process write to the state directory, and kills it in the middle of that.
pub(super) fn kill_a_writer(state: &Path, number: u64) -> Result<(), Failure> {
    let mut child = start(Work::Write, state, number)?;
    let mut said = [0];
    child.stdout.take().ok_or("it has a standard output")?.read_exact(&mut said)?;
    // A little later, somewhere between two steps.
    std::thread::sleep(std::time::Duration::from_micros(500 + number % 7 * 900));
    child.kill()?;
    child.wait()?;
    Ok(())
}
