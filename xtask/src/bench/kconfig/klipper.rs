//! Klipper, beside the kconfiglib in its own tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kbs_kconfig::{Dialect, Kconfig, NoShell};
use tempfile::TempDir;

use super::ours;
use super::tree::Dir;
use crate::bench::report::Report;
use crate::bench::rounds::{Contender, interleave, median, time};
use crate::{Failure, say};

/// A board whose configuration is worth deciding.
const BOARD: &str = "test/configs/stm32f446.config";
/// What is changed back and forth.
const CHANGES: [(&str, &str); 2] = [("MACH_AVR", "y"), ("MACH_STM32", "y")];

/// Measures, or says why not.
pub(crate) fn measure(
    report: &mut Report,
    given: Option<&Path>,
    runs: usize,
) -> Result<(), Failure> {
    let what = "Klipper: read, decide and write";
    let Some(given) = given else {
        report.skip(what, "no repository; give --klipper PATH");
        return Ok(());
    };
    say(what);
    let scratch = tempfile::Builder::new().prefix("kbs-bench-").tempdir()?;
    let root = check_out(given, &scratch)?;
    let board = root.join(BOARD);
    let config = scratch.path().join("config");
    let prepare = || std::fs::copy(&board, &config);
    let in_process = || -> Result<Duration, Failure> {
        let start = Instant::now();
        let kconfig = load(&root)?;
        let mut configuration = kconfig.evaluate();
        configuration.load(&std::fs::read_to_string(&board)?);
        std::fs::write(&config, configuration.to_dotconfig())?;
        Ok(start.elapsed())
    };
    let took = interleave(
        runs,
        vec![
            Contender::measured(|_| in_process()),
            Contender::new("kbs", |_| {
                prepare()?;
                let mut command = ours()?;
                command.arg(&root).arg("src/Kconfig").arg(&config).arg("--klipper");
                Ok(command)
            }),
            Contender::new("olddefconfig.py", |_| {
                prepare()?;
                let mut command = Command::new("python3");
                command.args(["lib/kconfiglib/olddefconfig.py", "src/Kconfig"]);
                command.current_dir(&root).env("KCONFIG_CONFIG", &config);
                Ok(command)
            }),
        ],
    )?;
    let peer = [("olddefconfig.py, whole process", took[2].into())];
    report.row(what, took[0], &peer, Some("< 5 ms"));
    report.row(&format!("{what}, whole process"), took[1], &peer, Some("≤ 0.05 ×"));
    report.row("Klipper: decide again after a change", again(&root, runs)?, &[], Some("< 0.2 ms"));
    Ok(())
}

fn load(root: &Path) -> Result<Kconfig, Failure> {
    let files = Dir(root.to_owned());
    Ok(Kconfig::load("src/Kconfig", &files, Dialect::KLIPPER, &BTreeMap::new(), &NoShell)?)
}

/// The median of one change, of those that change the most.
fn again(root: &Path, runs: usize) -> Result<Duration, Failure> {
    let kconfig = load(root)?;
    let mut configuration = kconfig.evaluate();
    let mut times = Vec::new();
    for round in 0..runs * 10 {
        let (symbol, value) = CHANGES[round % 2];
        let start = Instant::now();
        configuration.set(symbol, value)?;
        times.push(start.elapsed());
    }
    Ok(median(times))
}

/// The tree that was given, or what a repository has at its head.
fn check_out(given: &Path, scratch: &TempDir) -> Result<PathBuf, Failure> {
    if given.join("src/Kconfig").exists() {
        return Ok(given.canonicalize()?);
    }
    let root = scratch.path().join("klipper");
    std::fs::create_dir(&root)?;
    let script = "git -C \"$1\" archive HEAD src lib/kconfiglib test/configs | tar -x -C \"$2\"";
    let mut archive = Command::new("sh");
    archive.args(["-c", script, "sh"]).arg(given).arg(&root);
    time("git archive", archive)?;
    Ok(root)
}
