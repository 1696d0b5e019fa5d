//! The same bytes under the same key, wherever and by whomever they are built.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Built, KBS, Lab, answer, fx_that_also, with_programs};
use crate::{is_root, skip};

/// What a build can see of where it runs goes into this artifact.
fn telling_spec(repo: &kbs_testkit::Repo) -> FxSpec {
    with_programs(repo, &["id", "env", "sort", "ls", "uname", "pwd", "umask", "stat"][..6])
        .edit("\"fx.txt\"]", "\"fx.txt\", \"seen\"]")
}

fn telling_fx() -> kbs_testkit::Repo {
    fx_that_also(&[
        "{ id; umask; pwd; uname -n; env | grep -v MAKE | sort; cat /etc/passwd; ls -lan . /build; ls /; } >out/seen 2>&1",
        "awk '{ print $$3, $$4 }' /proc/self/stat >>out/seen",
        "date +%Z >>out/seen",
    ])
}

fn spec_of(repo: &kbs_testkit::Repo) -> FxSpec {
    with_programs(repo, &["id", "env", "sort", "ls", "uname", "grep", "date"])
        .edit("\"fx.txt\"]", "\"fx.txt\", \"seen\"]")
}

/// The output as everybody gets it.
fn usual(spec: &FxSpec) -> Built {
    Lab::new().realize(spec, &["--json"]).done().built()
}

/// Realizes under `prefix`, a command line that runs kbs.
fn under(lab: &Lab, spec: &FxSpec, prefix: &[&str], options: &[&str]) -> Built {
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg(KBS).arg("realize").arg(lab.write(spec)).args(options);
    command.env("KBS_STATE", lab.state()).env_remove("KBS_SOCKET");
    answer(command.arg("--json")).done().built()
}

#[track_caller]
fn same(ours: &Built, usual: &Built) {
    assert!(ours.built, "this was to be built, not found");
    assert_eq!((&ours.key, &ours.tree), (&usual.key, &usual.tree));
}
