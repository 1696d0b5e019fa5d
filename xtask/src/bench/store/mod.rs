//! The store: a large index, the files of a source tree, and what a kill costs.

mod collect;
mod commit;
mod index;
mod ingest;
mod killed;
mod look_up;
mod memory;
mod served;
mod tree;
mod verify;
mod work;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use self::index::Index;
use super::report::Report;
use crate::{Failure, binaries};

pub(crate) use self::work::{WorkArgs, work};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows of outputs in the large index
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: u64,
    /// Rows of blobs in the large index
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    blobs: u64,
    /// A directory to ingest, without its `.git`, instead of a generated one
    #[arg(long, value_name = "PATH")]
    tree: Option<PathBuf>,
    /// Small outputs to collect
    #[arg(long, value_name = "N", default_value_t = 2000)]
    outputs: usize,
    /// Rounds of everything
    #[arg(long, value_name = "N", default_value_t = 7)]
    runs: usize,
    /// Work in this directory, whose file system is then the one that is measured
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Keep the large index in this state directory, and use the one that is there
    #[arg(long, value_name = "PATH")]
    index: Option<PathBuf>,
    /// Measure these parts only
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Use this `kbs` instead of building it
    #[arg(long, value_name = "PATH")]
    kbs: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    LookUp,
    Served,
    Commit,
    Start,
    Memory,
    Ingest,
    Verify,
    Collect,
}

/// Measures and returns the report.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    if cfg!(debug_assertions) {
        return binaries::again_in_release();
    }
    let mut report = Report::new();
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let bench = Bench::new(args)?;
    if wants(Part::Ingest) {
        ingest::measure(&mut report, &bench)?;
    }
    if wants(Part::Verify) {
        verify::measure(&mut report, &bench)?;
    }
    if wants(Part::Collect) {
        collect::measure(&mut report, &bench, args.outputs)?;
    }
    let of_index = [Part::LookUp, Part::Served, Part::Commit, Part::Start, Part::Memory];
    if of_index.into_iter().any(wants) {
        let index = Index::open(&bench, args)?;
        index.report_size(&mut report)?;
        if wants(Part::LookUp) {
            look_up::measure(&mut report, &bench, &index)?;
        }
        if wants(Part::Served) {
            served::measure(&mut report, &bench, &index)?;
        }
        if wants(Part::Commit) {
            commit::measure(&mut report, &bench, &index)?;
        }
        if wants(Part::Start) {
            killed::measure(&mut report, &bench, &index)?;
        }
        if wants(Part::Memory) {
            memory::measure(&mut report, &bench, &index)?;
        }
    }
    if args.json { report.json() } else { Ok(report.markdown()) }
}

/// What every part needs.
struct Bench {
    dir: TempDir,
    tree: Option<PathBuf>,
    kbs: Option<PathBuf>,
    runs: usize,
}

impl Bench {
    fn new(args: &Args) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("kbs-bench-");
        let dir = match &args.dir {
            Some(dir) => builder.tempdir_in(dir)?,
            None => builder.tempdir()?,
        };
        Ok(Self { dir, tree: args.tree.clone(), kbs: args.kbs.clone(), runs: args.runs })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program of the product.
    fn kbs(&self) -> Result<PathBuf, Failure> {
        match &self.kbs {
            Some(kbs) => Ok(kbs.clone()),
            // Built the first time, looked for later.
            None => binaries::release(),
        }
    }
}

/// Removes a tree whatever its modes say.
fn remove(path: &Path) -> Result<(), Failure> {
    Ok(kbs_store::remove_tree(path)?)
}
