//! What the configuration file of a daemon decides, and that a wrong one is refused with its line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Answer, Lab, PATIENCE, answer, fx_that_also};
use crate::processes::until;

/// Writes a configuration file beside the specs of a test.
fn configure(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.dir().join("kbsd.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A `kbs` command line whose daemons have this configuration.
fn kbs(lab: &Lab, config: &Path) -> Command {
    let mut command = lab.kbs();
    command.env("KBS_CONFIG", config);
    command
}

fn realize(lab: &Lab, config: &Path, spec: &FxSpec, options: &[&str]) -> Answer {
    answer(kbs(lab, config).arg("realize").arg(lab.write(spec)).args(options))
}

fn config_file(status: &mut Command) -> PathBuf {
    let status = answer(status.args(["daemon", "status", "--json"])).done().json();
    status["config_file"].as_str().unwrap_or_default().into()
}

#[test]
fn a_spec_that_asks_for_more_than_the_ceiling_is_refused_with_both_values() {
    let (lab, repo) = (Lab::new(), fx());
    let config = configure(&lab, "[ceiling]\nwall = '6h'\nmemory = '1GiB'\njobs = 2\n");
    let spec = FxSpec::new(&repo);
    let more = spec.clone().toml("[limits]\nwall = '8h'\nmemory = '2GiB'");
    let told =
        ["limits.wall", "8h", "6h", "limits.memory", "2G", "1G", "ceiling.wall", "kbsd.toml"];
    for way in [&["--no-daemon"][..], &[]] {
        let answer = realize(&lab, &config, &more, way).left(2).telling(&["error: "]);
        assert_eq!(answer.telling(&told).out, "");
    }
    assert!(lab.ls(&[]).is_empty() && lab.ls(&["--failed"]).is_empty());
    realize(&lab, &config, &spec, &["--jobs", "3"]).left(2).telling(&["limits.jobs", "3", "2"]);

    let most = spec.toml("[limits]\nwall = '6h'\nmemory = '1GiB'\njobs = 1");
    assert!(realize(&lab, &config, &most, &["--json"]).done().output().built);
    // A request does not become right by what is in the store.
    realize(&lab, &config, &more, &[]).left(2).telling(&["limits.wall"]);
}

#[test]
fn limits_that_let_no_build_run_are_refused_wherever_they_stand() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let none = spec.clone().toml("[limits]\npids = 0\nopen-files = 5");
    let told = ["limits.pids is 0, which lets no build run", "limits.open-files is 5"];
    lab.realize(&none, &[]).left(2).telling(&told);
    for jobs in ["0", "4097"] {
        lab.realize(&spec, &["--jobs", jobs]).left(2).telling(&["--jobs", jobs, "1..=4096"]);
    }
    lab.run(["daemon", "stop"]);
    let config = configure(&lab, "[ceiling]\nscratch = 0\n");
    let told = ["kbsd.toml", "ceiling.scratch is 0, which lets no build run"];
    realize(&lab, &config, &spec, &["--no-daemon"]).left(2).telling(&told);
}

#[test]
fn more_artifacts_than_allowed_are_not_kept() {
    let lab = Lab::new();
    let make = "i=0; while [ $$i -lt 500 ]; do echo >out/$$i.many; i=$$((i+1)); done";
    let repo = fx_that_also(&[make]);
    let spec = FxSpec::new(&repo).edit("\"fx.txt\"]", "\"fx.txt\", \"*.many\"]");
    let few = spec.clone().toml("[limits]\noutput-files = 50");
    let answer = lab.realize(&few, &[]).left(1);
    answer.telling(&["at least 51 files, more than limits.output-files allows (50)"]);
    assert!(lab.ls(&[]).is_empty());
    let enough = spec.toml("[limits]\noutput-files = 502");
    assert!(lab.realize(&enough, &["--json"]).done().output().built);
}

#[test]
fn where_a_spec_says_nothing_the_configuration_decides_within_its_ceiling() {
    let repo = fx();
    let spec = FxSpec::new(&repo);
    for (text, told) in [
        ("[limits]\noutput-files = 1\n", "limits.output-files allows (1)"),
        ("[ceiling]\noutput-files = 1\n", "limits.output-files allows (1)"),
        ("[limits]\noutput = '9K'\n[ceiling]\noutput = 8\n", "limits.output allows (8)"),
    ] {
        let lab = Lab::new();
        let config = configure(&lab, text);
        realize(&lab, &config, &spec, &[]).left(1).telling(&[told]);
    }
    let lab = Lab::new();
    let config = configure(&lab, "[limits]\noutput-files = 1\n");
    realize(&lab, &config, &spec.toml("[limits]\noutput-files = 2"), &[]).done();
}

#[test]
fn a_configuration_that_says_what_none_says_is_refused_with_its_line() {
    let lab = Lab::new();
    let config = configure(&lab, "builds = 2\n[sandbox]\nrequire = ['seccomp']\n");
    let missing = lab.dir().join("missing.toml");
    let ways: [&[&str]; 4] =
        [&["ls"], &["ls", "--no-daemon"], &["daemon", "start"], &["daemon", "run"]];
    for way in ways {
        let answer = answer(kbs(&lab, &config).args(way)).left(2).telling(&["error: "]);
        let names = ["overlay", "proc", "landlock", "filter"];
        answer.telling(&["kbsd.toml", "line 3", "`seccomp`"]).telling(&names);
        let answer = self::answer(kbs(&lab, &missing).args(way)).left(2);
        answer.telling(&["missing.toml", "No such file", "KBS_CONFIG"]);
    }
    assert!(!lab.state().join("kbsd.sock").exists());
}

#[test]
fn the_configuration_is_the_one_that_is_named_or_that_of_the_user() {
    let lab = Lab::new();
    let status = lab.run(["daemon", "start"]).done();
    assert_eq!(config_file(&mut lab.kbs()), Path::new("/dev/null"), "{status}");
    lab.run(["daemon", "stop"]).done();

    let config = configure(&lab, "");
    let mut named = lab.kbs();
    named.env("KBS_CONFIG", "kbsd.toml").current_dir(lab.dir());
    answer(named.args(["daemon", "start"])).done();
    assert_eq!(config_file(&mut lab.kbs()), config);
    lab.run(["daemon", "stop"]).done();

    let own = lab.dir().join("kbs");
    std::fs::create_dir(&own).unwrap();
    std::fs::rename(config, own.join("kbsd.toml")).unwrap();
    let mut usual = lab.kbs();
    usual.env("KBS_CONFIG", "").env("XDG_CONFIG_HOME", lab.dir());
    answer(usual.args(["daemon", "start"])).done();
    assert_eq!(config_file(&mut lab.kbs()), own.join("kbsd.toml"));
    lab.run(["daemon", "status"]).done();
}

#[test]
fn a_daemon_leaves_as_its_configuration_says_unless_an_option_says_more() {
    let lab = Lab::new();
    let socket = lab.state().join("kbsd.sock");
    let soon = configure(&lab, "idle-exit = 1\n");
    answer(kbs(&lab, &soon).arg("ls")).done();
    until("the daemon has left", Duration::from_secs(10), || !socket.exists());

    let late = lab.dir().join("late.toml");
    std::fs::write(&late, "idle-exit = '1h'\n").unwrap();
    let mut run = kbs(&lab, &soon);
    run.args(["daemon", "run", "--idle-exit", "2", "--config"]).arg(&late);
    let mut daemon = run.spawn().unwrap();
    until("the daemon listens", PATIENCE, || socket.exists());
    assert_eq!(config_file(&mut lab.kbs()), late);
    until("the daemon has left", Duration::from_secs(15), || {
        daemon.try_wait().unwrap().is_some_and(|status| status.success())
    });
}

#[test]
fn a_daemon_takes_as_many_descriptors_as_it_may() {
    let (lab, repo) = (Lab::new(), fx());
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -S -n 256; exec \"$0\" \"$@\""]);
    let kbs = lab.kbs();
    few.arg(kbs.get_program());
    for (name, value) in kbs.get_envs() {
        few.env(name, value.unwrap_or_default());
    }
    answer(few.arg("realize").arg(lab.write(&FxSpec::new(&repo)))).done();
    let limits = crate::lab::read(format!("/proc/{}/limits", lab.daemon_pid().as_raw_nonzero()));
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|at| files.split_whitespace().nth(at).unwrap());
    assert_eq!(soft, hard);
}
