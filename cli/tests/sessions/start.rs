//! Finding a daemon and doing without one.

use std::os::unix::net::UnixListener;

use crate::fake::{Fake, Script, kbs, run};

#[test]
fn a_stale_socket_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(dir.path().join("kbsd.sock")).unwrap());
    let shown = run(kbs(&["daemon", "status", "--state"]).arg(dir.path()));
    assert_eq!(shown.status, Some(3));
    assert!(shown.stderr.starts_with("error: no daemon is running\n"), "{}", shown.stderr);
    assert_eq!(run(kbs(&["daemon", "stop", "--state"]).arg(dir.path())).status, Some(0));
}

#[test]
fn a_daemon_that_leaves_while_it_is_asked_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let leaving = UnixListener::bind(dir.path().join("kbsd.sock")).unwrap();
    let leaves = std::thread::spawn(move || drop(leaving.accept().unwrap()));
    let shown = run(kbs(&["daemon", "status", "--state"]).arg(dir.path()));
    leaves.join().unwrap();
    assert_eq!(shown.status, Some(3));
    // It may have gone after it was found, too.
    let told = ["error: no daemon is running\n", "error: the daemon went away before"];
    assert!(told.iter().any(|told| shown.stderr.starts_with(told)), "{}", shown.stderr);
}

#[test]
fn a_named_socket_is_used_and_nothing_is_started() {
    let fake = Fake::start(Script::default());
    let socket = fake.dir.path().join("kbsd.sock");
    let shown = run(kbs(&["ls", "-v", "--socket"]).arg(&socket));
    assert!(shown.stderr.contains(socket.to_str().unwrap()), "{}", shown.stderr);
    assert_eq!(run(kbs(&["ls"]).env("KBS_SOCKET", &socket)).status, Some(0));

    let nowhere = fake.dir.path().join("nowhere.sock");
    let shown = run(kbs(&["ls", "--socket"]).arg(&nowhere));
    assert_eq!(shown.status, Some(3));
    assert!(shown.stderr.starts_with("error: no daemon listens on "), "{}", shown.stderr);
}

#[test]
fn a_state_directory_may_have_a_long_path() {
    let fake = Fake::start(Script::default());
    let long = fake.dir.path().join("x".repeat(60)).join("y".repeat(60));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::rename(fake.dir.path().join("kbsd.sock"), long.join("kbsd.sock")).unwrap();
    let shown = run(kbs(&["ls", "--state"]).arg(&long));
    assert_eq!(shown.status, Some(0), "{}", shown.stderr);
}

#[test]
fn the_state_directory_may_come_from_the_environment() {
    let fake = Fake::start(Script::default());
    assert_eq!(run(kbs(&["ls"]).env("KBS_STATE", fake.dir.path())).status, Some(0));
}

#[test]
fn a_daemon_is_looked_at_and_stopped() {
    let fake = Fake::start(Script::default());
    insta::assert_snapshot!(
        run(&mut fake.kbs(&["daemon", "status"])).transcript(fake.dir.path()),
        @r"
        status 0
        -- stdout
        version  0.1.0
        pid      7
        state    /state
        config   none
        socket   DIR/kbsd.sock
        up       1 min 1 s
        builds   0 running, 0 requests waiting
        memory   0 B
        -- stderr
        "
    );
    let shown = run(&mut fake.kbs(&["daemon", "start"]));
    assert!(shown.stdout.ends_with("/kbsd.sock\n"), "{}", shown.stdout);
    let shown = run(&mut fake.kbs(&["daemon", "stop"]));
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), "stopped\n"));
    assert_eq!(run(&mut fake.kbs(&["daemon", "status"])).status, Some(3));
}

/// Stops the daemon of a state directory.
struct Stop<'a>(&'a std::path::Path);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let stopped = run(kbs(&["daemon", "stop", "--force", "--state"]).arg(self.0));
        assert_eq!(stopped.status, Some(0), "{}", stopped.stderr);
    }
}

#[test]
fn a_daemon_is_started_where_none_is_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("new/state");
    let ls = || run(kbs(&["ls", "-v", "--state"]).arg(&state).env("KBS_SOCKET", "/elsewhere"));
    let _stop = Stop(&state);
    let first = ls();
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    assert!(first.stderr.starts_with("started a daemon on "), "{}", first.stderr);
    assert!(ls().stderr.starts_with("using the daemon on "));
    let here = run(kbs(&["ls", "--no-daemon", "--state"]).arg(&state));
    assert_eq!(here.status, Some(3), "the state has a daemon already");
    assert!(here.stderr.contains("\n  caused by: "), "{}", here.stderr);
}

#[test]
fn a_daemon_in_this_process_is_nothing_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let shown = run(kbs(&["daemon", "stop", "--no-daemon", "--state"]).arg(dir.path()));
    assert_eq!(shown.status, Some(2));
}
