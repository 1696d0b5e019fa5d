//! busybox, whose `conf` is from before Linux 2.6.20: it asks, writes another head, and draws lots by
//! the clock.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use kbs_kconfig::{Dialect, Kconfig, NoShell};

use crate::conf::disturbed;
use crate::lottery::Lottery;
use crate::{Dir, difference, say, tree};

/// How often each configuration is changed at random.
const VARIANTS: usize = 12;

/// Copies the Kconfig files, which a script of the project has written from its sources.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if name == "Config.in" || name == ".platform.in" {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Runs `conf MODE` in `tree` and returns the `.config` without its head, which tells a version.
fn conf(program: &Path, tree: &Path, mode: &str, before: Option<&str>) -> String {
    let config = tree.join(".config");
    match before {
        Some(text) => std::fs::write(&config, text).unwrap(),
        None => drop(std::fs::remove_file(&config)),
    }
    // Every question is answered with its default.
    let script = "yes '' | \"$0\" \"$1\" Config.in";
    let status = Command::new("sh")
        .args(["-c", script])
        .args([program, Path::new(mode)])
        .current_dir(tree)
        .env("KCONFIG_NOTIMESTAMP", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sh runs");
    assert!(status.success(), "conf {mode}");
    body(&std::fs::read_to_string(config).unwrap())
}

fn body(text: &str) -> String {
    text.split_inclusive('\n').skip(1).skip_while(|line| *line != "#\n").skip(1).collect()
}

#[test]
fn busybox_is_configured_as_busybox_configures_itself() {
    let Some(given) = tree("KBS_TEST_BUSYBOX") else { return };
    let program = given.join("scripts/kconfig/conf").canonicalize().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    copy(&given, scratch.path());
    let files = Dir(scratch.path().to_owned());
    let kconfig =
        Kconfig::load("Config.in", &files, Dialect::BUSYBOX, &BTreeMap::new(), &NoShell).unwrap();
    let mut configuration = kconfig.evaluate();
    let mut cases = vec![("nothing".to_owned(), String::new())];
    for mode in ["-n", "-y", "-m"] {
        cases.push((mode.to_owned(), conf(&program, scratch.path(), mode, None)));
    }
    for entry in std::fs::read_dir(given.join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("_defconfig") {
            cases.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
        }
    }
    let mut changed = cases.clone();
    let mut lottery = Lottery::new(4);
    for _ in 0..VARIANTS {
        changed.extend(disturbed(&mut lottery, &cases));
    }
    let mut failed = Vec::new();
    for (name, text) in &changed {
        let theirs = conf(&program, scratch.path(), "-o", Some(text));
        configuration.load(text);
        failed.extend(difference(&body(&configuration.to_dotconfig()), &theirs, name));
    }
    let total = failed.len();
    say(&format!("busybox: {} configurations compared, {total} differences", changed.len()));
    failed.truncate(5);
    assert!(total == 0, "{total} differ, such as\n{}", failed.join("\n"));
}
