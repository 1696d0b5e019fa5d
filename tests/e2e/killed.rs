//! Daemon, helper or client killed at any time: nothing is left running or mounted, nothing
//! half-written is handed out, and the next request works.

use std::time::{Duration, Instant};

use kbs_testkit::{FxSpec, Repo, fx};
use rustix::process::Signal;

use crate::client::Client;
use crate::lab::{Lab, fx_that_also, read};
use crate::processes::{
    children, command_line, is_alive, kill, long_sleep, mounts, until, with_command_line,
};

/// When what was killed is gone with all that belonged to it.
const GONE: Duration = Duration::from_secs(5);

/// Who is killed.
#[derive(Clone, Copy)]
enum Victim {
    Daemon,
    Helper,
    Client,
}

impl Victim {
    /// Kills it, and waits until all that goes with it is gone.
    fn fall(self, lab: &Lab, client: Client) {
        let daemon = lab.daemon_pid();
        // A fetch has a child, too, which is a copy of the daemon for an instant.
        let mut helpers = children(daemon);
        helpers.retain(|pid| command_line(*pid).contains("__kbs-jail-helper"));
        assert_eq!(helpers.len(), 1, "the daemon has one helper");
        let gone = |pids: &[rustix::process::Pid]| !pids.iter().any(|pid| is_alive(*pid));
        match self {
            Self::Daemon => {
                kill(daemon);
                // A short phase may be over, and the client served, before the blow.
                let answer = client.finish();
                assert!(matches!(answer.code, Some(0 | 3)), "{answer}");
                until("the helper follows the daemon", GONE, || gone(&helpers));
            }
            Self::Helper => {
                kill(helpers[0]);
                let answer = client.finish();
                assert!(matches!(answer.code, Some(0 | 1 | 3)), "{answer}");
                assert!(is_alive(daemon), "the daemon lives on: {answer}");
            }
            Self::Client => {
                client.signal(Signal::KILL);
                client.finish();
            }
        }
    }
}

/// Everything that must hold after a fall: nothing is left, and `spec` is built as if nothing had
/// happened.
#[track_caller]
fn all_is_well(
    lab: &Lab,
    spec: &FxSpec,
    jail: Option<&str>,
    mounted: &std::collections::BTreeSet<String>,
) {
    if let Some(line) = jail {
        until("the jail is gone", GONE, || with_command_line(line).is_empty());
    }
    let more: Vec<_> = mounts().difference(mounted).cloned().collect();
    assert!(more.is_empty(), "mounted: {more:#?}");

    let again = lab.realize(spec, &["--json"]).done().output();
    let clean = Lab::new();
    let wanted = clean.realize(spec, &["--json"]).done().output();
    assert_eq!((&again.key, &again.tree), (&wanted.key, &wanted.tree));
    for name in ["fx.bin", "fx.txt"] {
        assert_eq!(read(again.path.join(name)), read(wanted.path.join(name)));
    }
    assert!(!lab.realize(spec, &["--json"]).done().output().built);
    let end = Instant::now() + GONE;
    while !lab.scratch().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(lab.scratch(), Vec::<String>::new(), "scratch is empty");
    assert_eq!(lab.ls(&[]).len(), 1);
}

fn in_the_build(victim: Victim) {
    let (lab, repo) = (Lab::new(), fx());
    let mounted = mounts();
    let seconds = long_sleep();
    let mut client = lab.start(&FxSpec::new(&repo).config(&format!("CONFIG_SLEEP={seconds}")), &[]);
    client.wait_for_log("sleeping");
    let line = format!("sleep {seconds}");
    until("the build sleeps", GONE, || with_command_line(&line).len() == 1);
    victim.fall(&lab, client);
    all_is_well(&lab, &FxSpec::new(&repo), Some(&line), &mounted);
}

#[test]
fn a_daemon_killed_during_the_build_leaves_nothing_behind() {
    in_the_build(Victim::Daemon);
}

#[test]
fn a_helper_killed_during_the_build_leaves_nothing_behind() {
    in_the_build(Victim::Helper);
}

#[test]
fn a_client_killed_during_the_build_leaves_nothing_behind() {
    in_the_build(Victim::Client);
}

fn in_configure(victim: Victim) {
    let (lab, repo) = (Lab::new(), fx());
    let mounted = mounts();
    let line = format!("sleep {}", long_sleep());
    let argv = line.replace(' ', "\", \"");
    let slow = FxSpec::new(&repo).edit("commands = [[", &format!("commands = [[\"{argv}\"], ["));
    let mut client = lab.start(&slow, &[]);
    client.wait_for_phase("configure");
    until("the step sleeps", GONE, || with_command_line(&line).len() == 1);
    victim.fall(&lab, client);
    all_is_well(&lab, &FxSpec::new(&repo), Some(&line), &mounted);
}

#[test]
fn a_daemon_killed_during_configure_leaves_nothing_behind() {
    in_configure(Victim::Daemon);
}

#[test]
fn a_helper_killed_during_configure_leaves_nothing_behind() {
    in_configure(Victim::Helper);
}

#[test]
fn a_client_killed_during_configure_leaves_nothing_behind() {
    in_configure(Victim::Client);
}

/// `fx` with so many sources and artifacts that storing them takes a while.
fn fx_of_many_files() -> (Repo, FxSpec) {
    let repo = fx_that_also(&[
        "awk 'BEGIN { for (i = 0; i < 500; i++) { f = \"out/a\" i; print i, i * i >f; close(f) } }'",
    ]);
    for number in 0..500 {
        repo.write(&format!("data/{}/{number}", number % 20), format!("number {number}\n"));
    }
    repo.commit("many files");
    let spec = FxSpec::new(&repo).edit("\"fx.txt\"]", "\"fx.txt\", \"a*\"]");
    (repo, spec)
}

fn at_the_phase(victim: Victim, phase: &str) {
    let (_repo, spec) = fx_of_many_files();
    let lab = Lab::new();
    let mounted = mounts();
    let mut client = lab.start(&spec, &[]);
    client.wait_for_phase(phase);
    victim.fall(&lab, client);
    all_is_well(&lab, &spec, None, &mounted);
}

#[test]
fn a_daemon_killed_while_it_fetches_loses_nothing() {
    at_the_phase(Victim::Daemon, "sync");
}

#[test]
fn a_daemon_killed_while_it_imports_an_image_loses_nothing() {
    at_the_phase(Victim::Daemon, "image");
}

#[test]
fn a_daemon_killed_while_it_ingests_loses_nothing() {
    at_the_phase(Victim::Daemon, "ingest");
}

#[test]
fn a_daemon_killed_while_it_collects_loses_nothing() {
    at_the_phase(Victim::Daemon, "collect");
}

#[test]
fn a_daemon_killed_while_it_stores_loses_nothing() {
    at_the_phase(Victim::Daemon, "store");
}

#[test]
fn a_client_killed_while_its_source_is_ingested_leaves_nothing_behind() {
    at_the_phase(Victim::Client, "ingest");
}

#[test]
fn a_client_killed_while_its_artifacts_are_collected_leaves_nothing_behind() {
    at_the_phase(Victim::Client, "collect");
}
