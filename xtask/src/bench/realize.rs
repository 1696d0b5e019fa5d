//! Whole `kbs realize` processes on a running daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::{FxSpec, Repo, TempState, fx};

use super::klipper;
use super::memory::resident_b;
use super::nix::Nix;
use super::report::{Figure, Report};
use super::rounds::{Contender, interleave, time};
use crate::{Failure, binaries, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Klipper repository, for the cold build
    #[arg(long, value_name = "PATH")]
    klipper: Option<PathBuf>,
    /// Rounds of everything that takes milliseconds
    #[arg(long, value_name = "N", default_value_t = 41)]
    runs: usize,
    /// Rounds of what takes seconds
    #[arg(long, value_name = "N", default_value_t = 5)]
    cold_runs: usize,
    /// Use this `kbs` instead of building it
    #[arg(long, value_name = "PATH")]
    kbs: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures and returns the report.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let Args { klipper, runs, cold_runs, kbs, json } = args;
    let kbs = match kbs {
        Some(kbs) => kbs.clone(),
        None => binaries::release()?,
    };
    let mut report = Report::new();
    let bench = Bench {
        state: TempState::new(kbs),
        specs: tempfile::Builder::new().prefix("kbs-bench-").tempdir()?,
        runs: *runs,
        nix: Nix::new().inspect_err(|error| report.skip("nix as a peer", &error.to_string())).ok(),
    };
    bench.warm(&mut report)?;
    bench.trivial(&mut report)?;
    bench.configured(&mut report)?;
    klipper::measure(&mut report, &bench.state, klipper.as_deref(), *cold_runs)?;
    bench.idle(&mut report)?;
    if *json { report.json() } else { Ok(report.markdown()) }
}

struct Bench {
    state: TempState,
    specs: tempfile::TempDir,
    runs: usize,
    nix: Option<Nix>,
}

impl Bench {
    fn realize(&self, spec: &Path) -> Command {
        let mut command = self.state.kbs();
        command.arg("realize").arg(spec);
        command
    }

    /// An output that is there, asked for again.
    fn warm(&self, report: &mut Report) -> Result<(), Failure> {
        say("warm realize");
        let repo = fx();
        let spec = FxSpec::new(&repo).write(self.specs.path(), "warm");
        time("the first kbs realize", self.realize(&spec))?;

        let mut contenders = vec![
            Contender::new("kbs realize", |_| Ok(self.realize(&spec))),
            Contender::new("true", |_| Ok(Command::new("/bin/true"))),
        ];
        if let Some(nix) = &self.nix {
            contenders.push(Contender::new("nix-build", |_| Ok(nix.build("probe"))));
        }
        let took = interleave(self.runs, contenders)?;
        let peers = beside(&["/bin/true", "nix-build, cached"], &took);
        report.row("warm realize, whole process", took[0], &peers, Some("< 10 ms, aim 5"));
        Ok(())
    }

    /// A build of one command that nobody asked for before.
    fn trivial(&self, report: &mut Report) -> Result<(), Failure> {
        say("trivial builds");
        let repo = Repo::new();
        repo.write("Makefile", "all:\n\t@echo $(ROUND) >firmware.txt\n").commit("trivial");
        let spec = |round: usize| {
            let text = format!(
                "[project]\nrecipe = 'make'\ngit = '{}'\nrev = 'main'\n\n[env]\nROUND = '{round}'\n\n\
                 [recipe.toolchain]\nprograms = ['sh', 'make']\noptional-programs = []\n\
                 optional-packages = []\n",
                repo.url()
            );
            let path = self.specs.path().join("trivial.toml");
            std::fs::write(&path, text).map(|()| path)
        };
        let mut contenders =
            vec![Contender::new("kbs realize", |round| Ok(self.realize(&spec(round)?)))];
        if let Some(nix) = &self.nix {
            contenders.push(Contender::new("nix-build", |round| {
                Ok(nix.build(&format!("trivial-{round}")))
            }));
        }
        let took = interleave(self.runs, contenders)?;
        let peers = beside(&["nix-build, new derivation"], &took);
        report.row(
            "trivial sandboxed miss, whole process",
            took[0],
            &peers,
            Some("< 30 ms, aim 10"),
        );
        Ok(())
    }

    /// The same with a configuration that nobody asked for before: one more command in a sandbox.
    fn configured(&self, report: &mut Report) -> Result<(), Failure> {
        say("trivial builds with a new configuration");
        let repo = fx();
        let contender = Contender::new("kbs realize", |round| {
            let spec = FxSpec::new(&repo).config(&format!("CONFIG_NAME=\"round {round}\""));
            Ok(self.realize(&spec.write(self.specs.path(), "configured")))
        });
        let took = interleave(self.runs, vec![contender])?;
        report.row("the same with a new configuration", took[0], &[], None);
        Ok(())
    }

    /// What the daemon keeps in memory after all that.
    fn idle(&self, report: &mut Report) -> Result<(), Failure> {
        let output = self.state.kbs().args(["daemon", "status", "--json"]).output()?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.ok_or("`kbs daemon status --json` tells no pid")?;
        report.row("idle daemon, RssAnon + RssFile", Figure::Bytes(resident_b(pid)?), &[], None);
        Ok(())
    }
}

/// Names the figures that follow the first one; those that were skipped have no name.
fn beside<'a>(names: &[&'a str], took: &[std::time::Duration]) -> Vec<(&'a str, Figure)> {
    names.iter().copied().zip(took.iter().skip(1).map(|took| (*took).into())).collect()
}
