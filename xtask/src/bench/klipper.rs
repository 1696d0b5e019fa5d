//! Real firmware, built in kbs and by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbs_testkit::TempState;
use tempfile::TempDir;

use super::cpu;
use super::report::Report;
use super::rounds::{Contender, interleave, time};
use crate::{Failure, say};

const CONFIGURATION: &str = "CONFIG_MACH_STM32=y\nCONFIG_MACH_STM32F446=y\n";

/// Klipper for one board.
struct Klipper {
    repository: PathBuf,
    dir: TempDir,
    jobs: usize,
}

/// Measures how long a cold build takes, or says why not.
pub(crate) fn measure(
    report: &mut Report,
    state: &TempState,
    repository: Option<&Path>,
    rounds: usize,
) -> Result<(), Failure> {
    let what = "cold Klipper STM32F446";
    let Some(klipper) = Klipper::new(report, what, repository)? else { return Ok(()) };
    let spec = klipper.write_spec("")?;
    let realize = |option: Option<&str>| {
        let mut command = state.kbs();
        command.arg("realize").args(option).arg(&spec);
        command
    };
    time("the first Klipper build", realize(None))?;

    let peer = format!("make olddefconfig && make -j{}", klipper.jobs);
    let took = interleave(
        rounds,
        vec![
            Contender::new("kbs realize --rebuild", |_| Ok(realize(Some("--rebuild")))),
            Contender::new("make", |round| {
                let mut command = Command::new("sh");
                command.args(["-c", &peer]).current_dir(klipper.check_out(round)?);
                Ok(command)
            }),
        ],
    )?;
    report.row(what, took[0], &[(&peer, took[1].into())], Some("≤ 1.03 ×"));
    Ok(())
}

/// Measures what the processes of a build take of the CPUs, or says why not.
///
/// Both build what is configured already.
pub(crate) fn measure_cpu(
    report: &mut Report,
    state: &TempState,
    repository: Option<&Path>,
    rounds: usize,
) -> Result<(), Failure> {
    let what = "CPU time of a Klipper STM32F446 build";
    let Some(klipper) = Klipper::new(report, what, repository)? else { return Ok(()) };
    let make = format!("make -j{}", klipper.jobs);
    let took = interleave(
        rounds,
        vec![
            Contender::measured(|round| {
                // Of a build whose output is there, the answer tells what the first one took.
                let version = format!("[version]\nexact = 'v0.0.0-{round}-g00000000'\n");
                let spec = klipper.write_spec(&version)?;
                let output = state.kbs().args(["realize", "--json"]).arg(spec).output()?;
                let said = String::from_utf8(output.stdout)?;
                let used = used_by_build(&said);
                used.ok_or_else(|| {
                    let why = String::from_utf8_lossy(&output.stderr);
                    format!("`kbs realize` tells no CPU time: {said}{why}").into()
                })
            }),
            Contender::measured(|round| {
                let work = klipper.check_out(round)?;
                let run = |script: &str| {
                    let mut command = Command::new("sh");
                    command.args(["-c", script]).current_dir(&work);
                    time(script, command)
                };
                run("make olddefconfig")?;
                let before = cpu::of_children()?;
                run(&make)?;
                Ok(cpu::of_children()?.saturating_sub(before))
            }),
        ],
    )?;
    report.row(what, took[0], &[(&make, took[1].into())], Some("≤ 1.02 ×"));
    Ok(())
}

/// What the build used that the last line of `kbs realize --json` tells of.
fn used_by_build(json: &str) -> Option<Duration> {
    let ended: serde_json::Value = serde_json::from_str(json.lines().last()?).ok()?;
    let output = &ended["output"];
    let usage = output["built"].as_bool()?.then_some(&output["usage"])?;
    Some(Duration::from_millis(usage["user_ms"].as_u64()? + usage["system_ms"].as_u64()?))
}

impl Klipper {
    /// `None` where it cannot be built, which the report then says of `what`.
    fn new(
        report: &mut Report,
        what: &str,
        repository: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let Some(repository) = repository else {
            report.skip(what, "no repository; give --klipper PATH");
            return Ok(None);
        };
        let compiler = Command::new("arm-none-eabi-gcc").arg("--version").output();
        if !compiler.is_ok_and(|output| output.status.success()) {
            report.skip(what, "arm-none-eabi-gcc is not installed");
            return Ok(None);
        }
        say(what);
        Ok(Some(Self {
            repository: repository.canonicalize()?,
            dir: tempfile::Builder::new().prefix("kbs-bench-").tempdir()?,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
        }))
    }

    fn write_spec(&self, more: &str) -> Result<PathBuf, Failure> {
        let spec = format!(
            "[project]\nrecipe = 'klipper'\ngit = '{}'\nrev = 'HEAD'\n\n[config]\ninline = '''\n\
             {CONFIGURATION}'''\n\n[limits]\njobs = {}\n\n{more}",
            self.repository.display(),
            self.jobs
        );
        let path = self.dir.path().join("klipper.toml");
        std::fs::write(&path, spec)?;
        Ok(path)
    }

    /// A fresh work tree with the configuration in it. None is removed before the end: some file
    /// systems are slow at creating files for a while after many were deleted.
    fn check_out(&self, round: usize) -> Result<PathBuf, Failure> {
        let work = self.dir.path().join(format!("by-hand-{round}"));
        let mut clone = Command::new("git");
        clone.args(["-c", "advice.detachedHead=false", "clone", "--quiet", "--shared", "--"]);
        clone.arg(&self.repository).arg(&work);
        time("git clone", clone)?;
        std::fs::write(work.join(".config"), CONFIGURATION)?;
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_build_of_this_run_used_counts() {
        let ended = |built: bool| {
            let usage = r#"{"user_ms":1200,"system_ms":34}"#;
            let output = format!(r#"{{"built":{built},"usage":{usage}}}"#);
            format!("{{\"event\":\"phase\"}}\n{{\"event\":\"ended\",\"output\":{output}}}\n")
        };
        assert_eq!(used_by_build(&ended(true)), Some(Duration::from_millis(1234)));
        assert_eq!(used_by_build(&ended(false)), None);
        assert_eq!(used_by_build(r#"{"event":"ended","result":"failure","failure":{}}"#), None);
        assert_eq!(used_by_build(""), None);
    }
}
