//! What the sandbox costs, from the start of a process in it to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kbs_sandbox::{Console, Helper, JailPath, JailSpec, Limits, Outcome, Scratch, Step};
use kbs_testkit::TempState;
use tempfile::TempDir;

use super::image::{self, TRUE};
use super::klipper;
use super::report::{Figure, Report};
use super::rounds::{Contender, interleave, median, time};
use crate::{Failure, binaries, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of everything that takes milliseconds
    #[arg(long, value_name = "N", default_value_t = 200)]
    runs: usize,
    /// A Klipper repository, for the CPU time of its build
    #[arg(long, value_name = "PATH")]
    klipper: Option<PathBuf>,
    /// Rounds of what takes seconds
    #[arg(long, value_name = "N", default_value_t = 7)]
    cold_runs: usize,
    /// Use this `kbs` instead of building it
    #[arg(long, value_name = "PATH")]
    kbs: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Jails that are run one after the other between two changes of this process's size.
const BATCH: usize = 10;
const SMALL_B: usize = 10 << 20;
const LARGE_B: usize = 1 << 30;

const BUDGET: &str = "≤ 1.2 × unshare, < bwrap";

/// Measures and returns the report.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let Args { runs, klipper, cold_runs, kbs, json } = args;
    let kbs = match kbs {
        Some(kbs) => kbs.clone(),
        None => binaries::release()?,
    };
    let dir = tempfile::Builder::new().prefix("kbs-bench-").tempdir()?;
    image::make(&dir.path().join("image"))?;
    std::fs::create_dir(dir.path().join("source"))?;
    let bench = Bench { helper: Helper::start(&kbs, None)?, dir, runs: *runs };
    let mut report = Report::new();
    bench.start(&mut report, "`true` in a jail, an image of one program", &bench.image())?;
    bench.start(&mut report, "`true` in a jail, the host's root as its image", Path::new("/"))?;
    bench.podman(&mut report)?;
    report.skip("nix as a peer", "what it starts is a build; `bench realize` has that");
    bench.size(&mut report)?;
    klipper::measure_cpu(&mut report, &TempState::new(kbs), klipper.as_deref(), *cold_runs)?;
    if *json { report.json() } else { Ok(report.markdown()) }
}

struct Bench {
    helper: Helper,
    dir: TempDir,
    runs: usize,
}

impl Bench {
    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Beside whatever else starts a process in namespaces of its own.
    fn start(&self, report: &mut Report, what: &str, root: &Path) -> Result<(), Failure> {
        say(what);
        let spec = self.spec(root)?;
        let mut names = Vec::new();
        let mut contenders = vec![Contender::measured(|_| self.jail(&spec))];
        let peers: [(&str, &dyn Fn() -> Command); 3] = [
            ("unshare", &unshare),
            ("bwrap", &|| self.bwrap(root)),
            ("plain `true`", &|| Command::new(TRUE)),
        ];
        for (name, command) in peers {
            match time(name, command()) {
                Ok(_) => {
                    names.push(name);
                    contenders.push(Contender::new(name, move |_| Ok(command())));
                }
                Err(error) => report.skip(&format!("{what}: {name}"), &error.to_string()),
            }
        }
        let took = interleave(self.runs, contenders)?;
        let peers = names.into_iter().zip(took.iter().skip(1).map(|took| Figure::from(*took)));
        report.row(what, took[0], &peers.collect::<Vec<_>>(), Some(BUDGET));
        Ok(())
    }

    /// Beside podman, which is so much slower that it gets fewer rounds.
    fn podman(&self, report: &mut Report) -> Result<(), Failure> {
        let podman = || {
            let mut command = Command::new("podman");
            // The limits that it sets by itself need rights that not every root has.
            command.args([
                "run",
                "--rm",
                "--network=none",
                "--ulimit=nofile=1024:1024",
                "--ulimit=nproc=10000:10000",
                "--rootfs",
            ]);
            command.arg(self.image()).arg(TRUE);
            command
        };
        let what = "`true` in a jail";
        if let Err(error) = time("podman", podman()) {
            report.skip("podman as a peer", &error.to_string());
            return Ok(());
        }
        say("podman");
        let spec = self.spec(&self.image())?;
        let contenders = vec![
            Contender::measured(|_| self.jail(&spec)),
            Contender::new("podman", |_| Ok(podman())),
        ];
        let took = interleave((self.runs / 10).max(1), contenders)?;
        report.row(what, took[0], &[("podman run", took[1].into())], Some(BUDGET));
        Ok(())
    }

    /// With this process small and large. A copy of it has to copy its tables of pages; the helper
    /// that copies itself for a jail is another process.
    fn size(&self, report: &mut Report) -> Result<(), Failure> {
        say("a large caller");
        let spec = self.spec(&self.image())?;
        let uid = std::fs::metadata("/proc/self")?.uid();
        let jails = |resident_b| {
            let spec = &spec;
            Contender::measured(move |_| with_resident(resident_b, || self.jail(spec)))
        };
        let contenders = vec![
            jails(LARGE_B),
            jails(SMALL_B),
            Contender::measured(|_| {
                with_resident(LARGE_B, || {
                    let mut command = unshare();
                    // To become somebody, the standard library copies the process as it is.
                    command.uid(uid);
                    time("unshare", command)
                })
            }),
        ];
        let took = interleave(self.runs.div_ceil(BATCH), contenders)?;
        let peers =
            [("the same with 10 MiB", took[1].into()), ("fork for unshare", took[2].into())];
        let what = "`true` in a jail, a caller with 1 GiB resident";
        report.row(what, took[0], &peers, Some("≤ 1.1 × the same with 10 MiB"));
        Ok(())
    }

    fn spec(&self, root: &Path) -> Result<JailSpec, Failure> {
        Ok(JailSpec {
            root: root.to_owned(),
            source: vec![self.dir.path().join("source")],
            inputs: vec![],
            files: vec![],
            steps: vec![Step { argv: vec![TRUE.to_owned()], cwd: JailPath::new("/build/src")? }],
            env: BTreeMap::new(),
            limits: Limits::default(),
            scratch: Scratch::Memory,
            sample_every: Duration::from_secs(3),
            without: BTreeSet::new(),
        })
    }

    /// From the request to the answer.
    fn jail(&self, spec: &JailSpec) -> Result<Duration, Failure> {
        let log = File::options().write(true).open("/dev/null")?;
        let start = Instant::now();
        let finished = self.helper.run(spec, Console::Log(log.into()), |_| {})?.wait()?;
        let took = start.elapsed();
        match finished.outcome {
            Outcome::Succeeded => Ok(took),
            other => Err(format!("a jail of `true` ended so: {other:?}").into()),
        }
    }

    /// Shows and hides about what a jail does.
    fn bwrap(&self, root: &Path) -> Command {
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
        command.args(["--uid", "1000", "--gid", "1000", "--hostname", "kbs", "--cap-drop", "ALL"]);
        command.arg("--ro-bind").args([root, Path::new("/")]);
        command.args(["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
        command.arg("--bind").arg(self.dir.path().join("source")).arg("/tmp/src");
        command.args(["--tmpfs", "/tmp/out", "--tmpfs", "/tmp/home", "--tmpfs", "/dev/shm"]);
        command.args(["--chdir", "/tmp/src", TRUE]);
        command
    }
}

/// The namespaces of a jail, and nothing in them.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Urmpinuf", "--cgroup", "--mount-proc", TRUE]);
    command
}

/// The median of a batch while this process has so many more bytes resident.
fn with_resident(
    bytes: usize,
    mut measure: impl FnMut() -> Result<Duration, Failure>,
) -> Result<Duration, Failure> {
    // Zeros would be pages that only are promised.
    let ballast = vec![1_u8; bytes];
    let took: Result<Vec<_>, _> = (0..BATCH).map(|_| measure()).collect();
    drop(std::hint::black_box(ballast));
    Ok(median(took?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::memory::resident_b;

    #[test]
    fn what_is_resident_is_there_while_it_is_measured() {
        let now = || resident_b(std::process::id());
        let before = now().unwrap();
        let during = |bytes: u64| Duration::from_nanos(bytes);
        let held = with_resident(64 << 20, || Ok(during(now()?))).unwrap();
        assert!(held >= during(before + (60 << 20)), "{held:?}");
    }
}
