//! Several clients, one build; who still waits decides how long it runs.

use std::time::Duration;

use kbs_testkit::{FxSpec, fx};
use rustix::process::Signal;

use crate::client::Client;
use crate::lab::{Answer, Lab, fx_that_also};
use crate::processes::{long_sleep, until, with_command_line};

/// A build that nobody waits for is gone after this.
const SOON: Duration = Duration::from_secs(2);

fn has_joined(answer: &Answer) -> bool {
    !answer.notices("joined").is_empty()
}

#[test]
fn two_clients_share_one_build_and_all_who_ask_see_its_log() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=3");
    let planned = lab.run(["plan", lab.write(&spec).to_str().unwrap(), "--json"]).done();
    let key = planned.events().last().unwrap()["key"].as_str().unwrap().to_owned();

    let mut first = lab.start(&spec, &[]);
    first.wait_for_log("sleeping 3 s");
    let second = lab.start(&spec, &[]);
    let third = lab.run(["log", "--follow", &key]).done();
    let (first, second) = (first.finish().done(), second.finish().done());

    assert_eq!(first.output(), second.output());
    assert!(!has_joined(&first) && has_joined(&second), "{first}\n{second}");
    assert_eq!(first.log(), second.log());
    assert_eq!(third.out, first.log());
    assert_eq!(lab.run(["log", &key]).done().out, first.log());
    assert_eq!(first.log().matches("building fx").count(), 1);
}

#[test]
fn clients_that_come_together_to_a_new_state_share_one_daemon_and_one_build() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=1");
    let clients: Vec<_> = (0..4).map(|_| lab.start(&spec, &[])).collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.finish().done()).collect();
    let made = |answer: &&Answer| answer.output().built && !has_joined(answer);
    assert_eq!(answers.iter().filter(made).count(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.output().path == answers[0].output().path));
    assert_eq!(lab.ls(&[]).len(), 1);
}

/// Starts a build that sleeps for an hour or so, and returns its client and the command line that
/// is in the list of processes as long as it runs.
fn endless(lab: &Lab, repo: &kbs_testkit::Repo) -> (FxSpec, Client, String) {
    let seconds = long_sleep();
    let spec = FxSpec::new(repo).config(&format!("CONFIG_SLEEP={seconds}"));
    let mut client = lab.start(&spec, &[]);
    client.wait_for_log("sleeping");
    let sleep = format!("sleep {seconds}");
    until("the build sleeps", SOON, || with_command_line(&sleep).len() == 1);
    (spec, client, sleep)
}

fn nothing_is_left(lab: &Lab, sleep: &str) {
    until("the build is gone", SOON, || with_command_line(sleep).is_empty());
    assert!(lab.ls(&[]).is_empty() && lab.ls(&["--failed"]).is_empty());
    until("scratch is empty", SOON, || lab.scratch().is_empty());
}

#[test]
fn an_interrupted_client_that_waits_alone_ends_its_build() {
    let (lab, repo) = (Lab::new(), fx());
    let (_, client, sleep) = endless(&lab, &repo);
    client.signal(Signal::INT);
    client.finish().left(4).telling(&["interrupted"]);
    nothing_is_left(&lab, &sleep);
}

#[test]
fn a_killed_client_that_waits_alone_ends_its_build() {
    let (lab, repo) = (Lab::new(), fx());
    let (_, client, sleep) = endless(&lab, &repo);
    client.signal(Signal::KILL);
    client.finish();
    nothing_is_left(&lab, &sleep);
    let short = FxSpec::new(&repo);
    assert!(lab.realize(&short, &["--json"]).done().output().built);
}

#[test]
fn an_interrupted_client_ends_a_configure_step_that_nobody_waits_for() {
    let (lab, repo) = (Lab::new(), fx());
    let sleep = format!("sleep {}", long_sleep());
    let argv = sleep.replace(' ', "\", \"");
    let spec = FxSpec::new(&repo).edit("commands = [[", &format!("commands = [[\"{argv}\"], ["));
    let mut client = lab.start(&spec, &[]);
    client.wait_for_phase("configure");
    until("the step sleeps", Duration::from_secs(10), || with_command_line(&sleep).len() == 1);
    client.signal(Signal::INT);
    client.finish().left(4);
    until("the step is gone", SOON, || with_command_line(&sleep).is_empty());
}

#[test]
fn the_build_goes_on_for_the_one_who_still_waits() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_SLEEP=3");
    let mut first = lab.start(&spec, &[]);
    first.wait_for_log("sleeping");
    let mut second = lab.start(&spec, &[]);
    second.wait_for_log("sleeping");
    first.signal(Signal::INT);
    first.finish().left(4);
    let second = second.finish().done();
    assert!(has_joined(&second) && second.output().built, "{second}");
    assert_eq!(second.log().matches("building fx").count(), 1);
}

#[test]
fn a_client_that_waits_for_its_turn_can_leave_without_ending_the_build_before_it() {
    let (lab, repo) = (Lab::new(), fx());
    let mut daemon = lab.kbs().args(["daemon", "run", "--builds", "1"]).spawn().unwrap();
    until("the daemon answers", SOON * 5, || lab.run(["daemon", "status"]).code == Some(0));
    let (_, before, sleep) = endless(&lab, &repo);
    let mut client = lab.start(&FxSpec::new(&repo).config("CONFIG_NAME=\"next\""), &[]);
    client.wait_for_phase("configure");
    let is_configured =
        |event: &serde_json::Value| event["name"] == "configure" && event["took_ms"].is_number();
    client.wait_for("its configuration", is_configured);
    client.signal(Signal::INT);
    client.finish().left(4);
    assert_eq!(with_command_line(&sleep).len(), 1);
    before.signal(Signal::INT);
    before.finish().left(4);
    nothing_is_left(&lab, &sleep);
    lab.run(["daemon", "stop"]).done();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn a_log_is_told_to_its_end_however_fast_it_is_written() {
    let lab = Lab::new();
    let repo = fx_that_also(&["awk 'BEGIN { for (i = 0; i < 200000; i++) print \"line\", i }'"]);
    let spec = FxSpec::new(&repo);
    let clients: Vec<_> = (0..2).map(|_| lab.start(&spec, &[])).collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.finish().done()).collect();
    let key = answers[0].output().key;
    let whole = lab.run(["log", &key]).done().out;
    assert!(whole.ends_with("line 199999\n"));
    for answer in answers.iter().filter(|answer| answer.output().built) {
        let told = answer.log();
        assert!(told == whole, "{} of {} bytes were told", told.len(), whole.len());
    }
}
