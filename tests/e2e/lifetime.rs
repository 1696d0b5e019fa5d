//! Daemons: started along the way, in the same process, leaving by themselves, one at a time.

use std::time::Duration;

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Lab, PATIENCE};
use crate::processes::{children, is_alive, kill, until};

#[test]
fn without_a_daemon_the_key_and_the_tree_are_the_same() {
    let repo = fx();
    let spec = FxSpec::new(&repo).config("CONFIG_NAME=\"me\"");
    let (with, without) = (Lab::new(), Lab::new());
    let daemons = with.realize(&spec, &["--json"]).done().output();
    let own = without.realize(&spec, &["--json", "--no-daemon"]).done().output();
    assert!(own.built);
    assert_eq!((own.key, own.tree), (daemons.key, daemons.tree));
    assert!(!without.state().join("kbsd.sock").exists());
    assert!(own.path.join("fx.bin").is_file());
    // What one left, the other finds.
    assert!(!without.realize(&spec, &["--json", "--no-daemon"]).done().output().built);
    assert!(!without.realize(&spec, &["--json"]).done().output().built);
    without.realize(&spec, &["--no-daemon"]).left(3).telling(&["in use by process"]);
}

#[test]
fn without_a_daemon_a_failure_is_told_and_a_log_is_kept() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_FAIL=y");
    lab.realize(&spec, &["--no-daemon"]).left(1).telling(&["failing as asked"]);
    let failed = lab.run(["ls", "--failed", "--json", "--no-daemon"]).done().json();
    let log = lab.run(["log", failed["key"].as_str().unwrap(), "--no-daemon"]).done();
    assert!(log.out.contains("failing as asked"));
}

#[test]
fn an_idle_daemon_leaves_no_socket_and_the_next_request_starts_another() {
    let (lab, repo) = (Lab::new(), fx());
    let mut daemon = lab.kbs().args(["daemon", "run", "--idle-exit", "1"]).spawn().unwrap();
    let socket = lab.state().join("kbsd.sock");
    until("the daemon listens", PATIENCE, || socket.exists());
    // It is not idle while it builds.
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=3");
    let first = lab.realize(&spec, &["--json"]).done().output();
    until("the daemon has left", Duration::from_secs(10), || {
        daemon.try_wait().unwrap().is_some_and(|status| status.success())
    });
    assert!(!socket.exists());
    let again = lab.realize(&spec, &["--json"]).done().output();
    assert!(!again.built && again.path == first.path);
    assert!(socket.exists());
}

#[test]
fn a_second_daemon_of_one_state_is_refused_with_the_pid_of_the_first() {
    let lab = Lab::new();
    lab.run(["daemon", "start"]).done();
    let pid = lab.daemon_pid().as_raw_nonzero().to_string();
    let second = lab.run(["daemon", "run"]).left(3);
    second.telling(&["in use by process", &pid, "help: "]);
    assert_eq!(lab.daemon_pid().as_raw_nonzero().to_string(), pid, "the first one still serves");
    lab.run(["daemon", "start"]).done().telling(&["runs already"]);
}

#[test]
fn a_daemon_that_is_told_to_stop_ends_the_build_only_when_forced() {
    let (lab, repo) = (Lab::new(), fx());
    let mut client = lab.start(&FxSpec::new(&repo).config("CONFIG_SLEEP=3"), &[]);
    client.wait_for_log("sleeping");
    let pid = lab.daemon_pid();
    lab.run(["daemon", "stop"]).done();
    assert!(client.finish().done().output().built);
    until("the daemon is gone", Duration::from_secs(5), || !is_alive(pid));

    let mut client = lab.start(&FxSpec::new(&repo).config("CONFIG_SLEEP=3000"), &[]);
    client.wait_for_log("sleeping");
    lab.run(["daemon", "stop", "--force"]).done();
    let answer = client.finish();
    assert!(matches!(answer.code, Some(3 | 4)), "{answer}");
    assert_eq!(lab.ls(&[]).len(), 1);
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_no_obstacle() {
    let (lab, repo) = (Lab::new(), fx());
    lab.run(["daemon", "start"]).done();
    let pid = lab.daemon_pid();
    let helpers = children(pid);
    assert!(!helpers.is_empty(), "the daemon has its helper");
    kill(pid);
    until("the helper follows", Duration::from_secs(5), || {
        !helpers.iter().any(|pid| is_alive(*pid))
    });
    assert!(lab.state().join("kbsd.sock").exists());
    lab.run(["daemon", "status"]).left(3).telling(&["no daemon is running"]);
    lab.realize(&FxSpec::new(&repo), &[]).done();
    assert_ne!(lab.daemon_pid(), pid);
}

#[test]
fn a_request_that_comes_while_the_daemon_leaves_is_served_by_the_next_one() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    lab.realize(&spec, &[]).done();
    for round in 0..8 {
        lab.run(["daemon", "stop"]).done();
        let option: &[&str] = if round % 2 == 0 { &["--json"] } else { &["--json", "--no-daemon"] };
        assert!(!lab.realize(&spec, option).done().output().built);
    }
}
