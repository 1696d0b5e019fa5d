//! Builds whose sources the store cannot record: nothing that they make is kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kbs_testkit::FxSpec;

use crate::lab::{Answer, Lab, fx_that_also, names, with_programs};
use crate::{is_root, skip};

/// A directory in which nothing can be renamed, even by root.
struct Shut(PathBuf);

impl Shut {
    fn new(dir: &Path) -> Option<Self> {
        let shut = Command::new("chattr").arg("+i").arg(dir).output();
        shut.is_ok_and(|shut| shut.status.success()).then(|| Self(dir.to_owned()))
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        Command::new("chattr").arg("-i").arg(&self.0).status().unwrap();
    }
}

/// Builds a project that runs `command`, with these flags, when all of it but its sources is known, and
/// they cannot be recorded; `None` where that cannot be had.
fn unrecorded(lab: &Lab, command: &str, flags: &[&str]) -> Option<Answer> {
    if !is_root() {
        skip("only root can shut a directory for itself");
        return None;
    }
    lab.realize(&FxSpec::new(&kbs_testkit::fx()), &[]).done();
    let repo = fx_that_also(&[command]);
    let spec = with_programs(&repo, &["sleep"]);
    // Its configuration is remembered.
    lab.run(["plan", lab.write(&spec).to_str().unwrap()]).done();
    let sources = lab.state().join("sources");
    for name in names(&sources) {
        std::fs::remove_dir_all(sources.join(&name)).unwrap();
        std::fs::remove_file(lab.state().join(format!("meta/layer-{name}.json"))).unwrap();
    }
    let Some(shut) = Shut::new(&lab.state().join("meta")) else {
        skip("chattr cannot shut a directory here");
        return None;
    };
    let answer = lab.realize(&spec, flags);
    drop(shut);
    Some(answer)
}

#[test]
fn a_failure_on_sources_that_are_not_recorded_is_not_kept() {
    let lab = Lab::new();
    let Some(answer) = unrecorded(&lab, "exit 7", &["--keep-failed"]) else { return };
    let answer = answer.left(3);
    assert!(answer.err.contains("cannot rename metadata to"), "{answer:?}");
    assert!(!answer.err.contains("work tree"), "{answer:?}");
    let kept = std::fs::read_dir(lab.state().join("kept")).map_or(0, Iterator::count);
    assert_eq!(kept, 0);
}

#[test]
fn a_build_ends_when_its_sources_cannot_be_recorded() {
    let lab = Lab::new();
    let began = Instant::now();
    let Some(answer) = unrecorded(&lab, "sleep 60", &[]) else { return };
    answer.left(3);
    assert!(began.elapsed() < Duration::from_secs(50), "nobody could keep what it makes");
}
