//! The product's programs, freshly built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::{Failure, say};

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Runs this program again with the same arguments, compiled as the product is; returns what it says.
/// What it measures within itself would be no measure of the product otherwise.
pub(crate) fn again_in_release() -> Result<String, Failure> {
    say("building this program as a release");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--package", "xtask", "--"])
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the measurement failed".into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Builds the release binaries and returns where `kbs` is.
pub(crate) fn release() -> Result<PathBuf, Failure> {
    say("building the release binaries");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "kbs-cli", "--package", "kbs-daemon", "--bins"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the release binaries do not build".into());
    }
    let built = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .find_map(|message| match message {
            Message { executable: Some(path), target: Some(target) } if target.name == "kbs" => {
                Some(path)
            }
            _ => None,
        });
    built.ok_or_else(|| "the package kbs-cli has no program `kbs`".into())
}
