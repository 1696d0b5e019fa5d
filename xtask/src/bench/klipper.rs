//! A cold build of real firmware, in kbs and by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::TempState;
use tempfile::TempDir;

use super::report::Report;
use super::rounds::{Contender, interleave, time};
use crate::{Failure, say};

const CONFIGURATION: &str = "CONFIG_MACH_STM32=y\nCONFIG_MACH_STM32F446=y\n";
const WHAT: &str = "cold Klipper STM32F446";

/// Measures it, or says why not.
pub(crate) fn measure(
    report: &mut Report,
    state: &TempState,
    klipper: Option<&Path>,
    rounds: usize,
) -> Result<(), Failure> {
    let Some(klipper) = klipper else {
        report.skip(WHAT, "no repository; give --klipper PATH");
        return Ok(());
    };
    let compiler = Command::new("arm-none-eabi-gcc").arg("--version").output();
    if !compiler.is_ok_and(|output| output.status.success()) {
        report.skip(WHAT, "arm-none-eabi-gcc is not installed");
        return Ok(());
    }
    say("cold Klipper builds");
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let dir = tempfile::Builder::new().prefix("kbs-bench-").tempdir()?;
    let spec = write_spec(&dir, &klipper.canonicalize()?, jobs)?;
    let realize = |option: Option<&str>| {
        let mut command = state.kbs();
        command.arg("realize").args(option).arg(&spec);
        command
    };
    time("the first Klipper build", realize(None))?;

    let took = interleave(
        rounds,
        vec![
            Contender::new("kbs realize --rebuild", |_| Ok(realize(Some("--rebuild")))),
            Contender::new("make", |round| {
                let work = dir.path().join(format!("by-hand-{round}"));
                check_out(klipper, &work)?;
                let mut command = Command::new("sh");
                let script = format!("make olddefconfig && make -j{jobs}");
                command.args(["-c", &script]).current_dir(work);
                Ok(command)
            }),
        ],
    )?;
    let peer = format!("make olddefconfig && make -j{jobs}");
    report.row(WHAT, took[0], &[(&peer, took[1].into())], Some("≤ 1.03 ×"));
    Ok(())
}

fn write_spec(dir: &TempDir, klipper: &Path, jobs: usize) -> Result<PathBuf, Failure> {
    let spec = format!(
        "[project]\nrecipe = 'klipper'\ngit = '{}'\nrev = 'HEAD'\n\n[config]\ninline = '''\n\
         {CONFIGURATION}'''\n\n[limits]\njobs = {jobs}\n",
        klipper.display()
    );
    let path = dir.path().join("klipper.toml");
    std::fs::write(&path, spec)?;
    Ok(path)
}

/// A fresh work tree with the configuration in it. None is removed before the end: some file systems
/// are slow at creating files for a while after many were deleted.
fn check_out(klipper: &Path, work: &Path) -> Result<(), Failure> {
    let mut clone = Command::new("git");
    clone.args(["-c", "advice.detachedHead=false", "clone", "--quiet", "--shared", "--"]);
    clone.arg(klipper).arg(work);
    time("git clone", clone)?;
    std::fs::write(work.join(".config"), CONFIGURATION)?;
    Ok(())
}
