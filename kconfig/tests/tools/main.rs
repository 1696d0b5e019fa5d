//! Compares with the tools themselves, on projects that use them.
//!
//! Each test takes a source tree from the environment and does nothing, loudly, without it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "../golden/explained.rs"]
mod acted;
mod busybox;
mod conf;
mod explained;
mod fuzzed;
mod grammar;
mod klipper;
mod linux;
mod loops;
mod lottery;
mod menu;
mod others;
#[path = "../golden/menu.rs"]
mod shown;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_kconfig::{FileFault, Files, Shell, ShellRefusal};

/// The directory that the environment variable `name` names.
fn tree(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os(name).map(PathBuf::from);
    if found.is_none() {
        say(&format!("SKIPPED: {name} names no source tree, so nothing was compared"));
    }
    found
}

/// The number in the environment variable `name`.
fn count(name: &str, default: u32) -> u32 {
    let text = std::env::var_os(name);
    text.map_or(default, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

/// Says something where nothing swallows it.
fn say(what: &str) {
    writeln!(std::io::stderr(), "{what}").expect("stderr is open");
}

/// The files below a directory.
struct Dir(PathBuf);

impl Files for Dir {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        match std::fs::read(self.0.join(path)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let Ok(entries) = std::fs::read_dir(self.0.join(dir)) else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

/// Runs what Kconfig files ask for, in the tree.
struct Sh<'a> {
    dir: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Shell for Sh<'_> {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(self.dir)
            .envs(self.env)
            .output()
            .map_err(|error| ShellRefusal { reason: error.to_string() })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The first lines that differ, if any does.
fn difference(ours: &str, theirs: &str, case: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let mut report = String::new();
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
    let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(3);
    for (name, lines) in [("ours", &ours), ("theirs", &theirs)] {
        let part: Vec<_> = lines.iter().skip(from).take(10).collect();
        writeln!(report, "{name}, from line {from}:\n{part:#?}").unwrap();
    }
    let missing: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).take(20).collect();
    let added: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).take(20).collect();
    Some(format!("{case} differs\n{report}missing: {missing:#?}\nadded: {added:#?}"))
}

/// Fails with the first lines that differ.
fn assert_same(ours: &str, theirs: &str, case: &str) {
    if let Some(report) = difference(ours, theirs, case) {
        panic!("{report}");
    }
}
