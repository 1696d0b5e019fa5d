//! State directories that kbs does not take.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use kbs_testkit::{FxSpec, fx};

use crate::lab::{KBS, Lab, answer, names};
use crate::{is_root, skip};

/// A directory that a daemon is to refuse, and what it says then, started along the way or not.
#[track_caller]
fn refused(lab: &Lab, state: &Path, fragments: &[&str]) {
    let spec = lab.write(&FxSpec::new(&fx()));
    let before = names(state);
    for option in ["--quiet", "--no-daemon"] {
        let mut kbs = std::process::Command::new(KBS);
        kbs.env("KBS_STATE", state).env_remove("KBS_SOCKET");
        let answer = answer(kbs.arg("realize").arg(&spec).arg(option)).left(3);
        let answer = answer.telling(&[state.to_str().unwrap(), "help: "]).telling(fragments);
        assert_eq!(answer.out, "");
    }
    let made = |name: &String| !before.contains(name) && !name.starts_with("kbsd.");
    let new: Vec<_> = names(state).into_iter().filter(made).collect();
    assert!(new.is_empty(), "a refused directory is left as it was, but has {new:?}");
}

fn directory(lab: &Lab, mode: u32) -> PathBuf {
    let state = lab.dir().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(mode)).unwrap();
    state
}

#[test]
fn a_state_directory_that_others_may_enter_is_refused() {
    let lab = Lab::new();
    let state = directory(&lab, 0o755);
    refused(&lab, &state, &["open to other users", "0755", "chmod 700"]);
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let lab = Lab::new();
    let state = directory(&lab, 0o700);
    std::fs::write(state.join("thesis.txt"), "words").unwrap();
    refused(&lab, &state, &["neither empty nor a kbs state directory"]);
    assert_eq!(std::fs::read(state.join("thesis.txt")).unwrap(), b"words");
}

#[test]
fn a_state_directory_of_somebody_else_is_refused() {
    if !is_root() {
        return skip("only root can make a directory that belongs to somebody else");
    }
    let lab = Lab::new();
    let state = directory(&lab, 0o700);
    chown(&state, Some(12_345), Some(12_345)).unwrap();
    refused(&lab, &state, &["belongs to uid 12345", "uid 12345"]);
}

#[test]
fn a_state_directory_of_another_layout_is_refused() {
    let lab = Lab::new();
    let state = directory(&lab, 0o700);
    std::fs::write(state.join("kbs-state"), "kbs state directory, layout 99\n").unwrap();
    refused(&lab, &state, &["another layout", "layout 99"]);
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let lab = Lab::new();
    let file = lab.dir().join("file");
    std::fs::write(&file, "").unwrap();
    for option in ["--quiet", "--no-daemon"] {
        let mut kbs = std::process::Command::new(KBS);
        kbs.env("KBS_STATE", file.join("state")).env_remove("KBS_SOCKET");
        answer(kbs.args(["ls", option])).left(3).telling(&["file/state", "help: "]);
    }
}
