//! What is shown of a request, and what the exit status says.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use kbs_plan::error::Class;
use kbs_proto::pb::ended::How;
use kbs_proto::pb::event::Event;
use kbs_proto::{pb, status};

use crate::fake::{Fake, KEY, Script, Then, ended, output, phase, run};

fn notice(kind: &str, text: &str) -> Event {
    Event::Notice(pb::Notice { kind: kind.to_owned(), text: text.to_owned(), symbols: Vec::new() })
}

fn log(text: &str) -> Event {
    Event::Log(pb::LogChunk { offset: 0, data: text.as_bytes().to_vec() })
}

fn built() -> Vec<Event> {
    vec![
        phase("configure", None),
        phase("configure", Some(124)),
        notice("drift", "MCU changed\x1b[2J"),
        phase("build", None),
        log("CC ma"),
        log("in.o\nLD"),
        phase("build", Some(61_000)),
        output("/state/outputs/00-klipper-v1"),
    ]
}

#[test]
fn the_path_alone_goes_to_stdout() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.realize(&[])).transcript(fake.dir.path()), @r"
        status 0
        -- stdout
        /state/outputs/00-klipper-v1
        -- stderr
        configure … 0.12 s
        warning: MCU changed
        build … 1 min 1 s
        built klipper-v1 in 1.20 s
        ");
    assert!(!fake.seen.lock().unwrap().realize[0].log, "nobody would see the log");
}

#[test]
fn quiet_leaves_warnings_and_the_path() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.realize(&["-q"])).transcript(fake.dir.path()), @r"
        status 0
        -- stdout
        /state/outputs/00-klipper-v1
        -- stderr
        warning: MCU changed
        ");
}

#[test]
fn the_log_is_shown_as_it_runs() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    let shown = run(&mut fake.realize(&["-L", "-q"]));
    assert!(shown.stderr.ends_with("CC main.o\nLD\n"), "{}", shown.stderr);
    assert!(fake.seen.lock().unwrap().realize[0].log);
}

#[test]
fn every_event_is_one_json_line_and_the_result_is_the_last() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    let shown = run(&mut fake.realize(&["--json", "-L"]));
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), ""));
    let lines = shown.json();
    let kinds: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["phase", "phase", "notice", "phase", "log", "phase", "log", "ended"],
        "lines of the log are whole, the last one comes before the end"
    );
    assert_eq!(lines[1]["took_ms"], 124);
    assert_eq!(lines[4]["line"], "CC main.o");
    assert_eq!(lines[7]["key"], KEY);
    assert_eq!(lines[7]["output"]["path"], "/state/outputs/00-klipper-v1");
}

#[test]
fn options_reach_the_daemon() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    let args = ["--rev=v2", "--jobs=3", "--rebuild", "--keep-failed", "--accept-drift=MCU"];
    assert_eq!(run(&mut fake.realize(&args)).status, Some(0));
    let seen = fake.seen.lock().unwrap();
    let request = &seen.realize[0];
    let spec = request.spec.as_ref().unwrap();
    assert_eq!((request.reuse(), request.keep_failed), (pb::Reuse::Rebuild, true));
    assert_eq!((spec.rev.as_str(), spec.limits.unwrap().jobs), ("v2", Some(3)));
    assert_eq!(spec.config.as_ref().unwrap().accept_drift, ["MCU"]);
}

#[test]
fn a_failed_build_shows_its_end_and_exits_with_1() {
    let failure = pb::Failure {
        cause: "exit".to_owned(),
        text: "`make -j4` exited with 2".to_owned(),
        code: 2,
        command: vec!["make".to_owned(), "-j4".to_owned()],
        tail: "main.c:1: error: \x1b[31mno\x1b[0m\nmake: *** [main.o] Error 1\n".to_owned(),
        kept: String::new(),
        limit: String::new(),
        usage: None,
    };
    let fake =
        Fake::start(Script { events: vec![ended(How::Failure(failure))], ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.realize(&[])).transcript(fake.dir.path()), @r"
        status 1
        -- stdout
        -- stderr
          | main.c:1: error: no
          | make: *** [main.o] Error 1
        error: the build failed: `make -j4` exited with 2

        help: see the whole log with `kbs log key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff`; look around with `kbs shell SPEC`, or keep the work tree with --keep-failed
        ");
}

#[test]
fn a_second_build_that_differs_exits_with_1() {
    let difference = pb::FileDifference {
        path: "klipper.bin".to_owned(),
        offset: Some(512),
        text: "1 of 30000 bytes".to_owned(),
    };
    let check = pb::CheckResult { identical: false, differences: vec![difference] };
    let fake = Fake::start(Script { events: vec![ended(How::Check(check))], ..Script::default() });
    insta::assert_snapshot!(run(&mut fake.realize(&["--check"])).transcript(fake.dir.path()), @r"
        status 1
        -- stdout
        -- stderr
        error: the second build differs from the stored one
          caused by: klipper.bin, from byte 512 on: 1 of 30000 bytes

        help: compare the logs; that of the stored build is `kbs log key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff`
        ");
}

#[test]
fn the_exit_status_tells_who_can_fix_it() {
    let cases = [
        (Class::User, 2),
        (Class::NotFound, 2),
        (Class::Environment, 3),
        (Class::Cancelled, 4),
        (Class::Build, 1),
        (Class::Bug, 70),
    ];
    for (class, expected) in cases {
        let status = status::from_parts(class, "outer\ninner", Some("do this".to_owned()));
        let fake = Fake::start(Script { then: Then::Fail(status), ..Script::default() });
        let shown = run(&mut fake.realize(&["--json"]));
        assert_eq!(shown.status, Some(expected), "{class:?}");
        assert_eq!(shown.stderr, "error: outer\n  caused by: inner\n\nhelp: do this\n");
        let last = &shown.json()[0];
        assert_eq!((&last["event"], &last["help"]), (&"error".into(), &"do this".into()));
    }
}

#[test]
fn a_daemon_that_dies_is_told() {
    let events = vec![phase("build", None)];
    for then in [Then::Vanish, Then::End] {
        let fake = Fake::start(Script { events: events.clone(), then, ..Script::default() });
        let shown = run(&mut fake.realize(&[]));
        assert_eq!(shown.status, Some(3));
        let first = shown.stderr.lines().next().unwrap();
        assert_eq!(first, "error: the daemon went away before it had answered");
        assert!(shown.stderr.contains("\nhelp: run the command again"), "{}", shown.stderr);
    }
}

#[test]
fn an_interrupt_withdraws_the_request_and_exits_with_4() {
    let events = vec![phase("build", None)];
    let fake = Fake::start(Script { events, then: Then::Wait, ..Script::default() });
    let mut command = fake.realize(&["--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("\"phase\""), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    fake.wait_for_withdrawal();
}

#[test]
fn a_reader_that_leaves_does_not_stop_the_build() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    let mut command = fake.realize(&["--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_spec_on_stdin_is_relative_to_the_current_directory() {
    let fake = Fake::start(Script { events: built(), ..Script::default() });
    std::fs::write(fake.dir.path().join("a.config"), "CONFIG_A=y\n").unwrap();
    let text = "[project]\nrecipe='klipper'\ngit='src'\nrev='v1'\n[config]\nfile='a.config'\n";
    let mut command = fake.kbs(&["realize", "-"]);
    let mut child = command
        .current_dir(fake.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let seen = fake.seen.lock().unwrap();
    let spec = seen.realize[0].spec.as_ref().unwrap();
    let source = fake.dir.path().canonicalize().unwrap().join("src");
    let source = source.to_str().unwrap().to_owned();
    assert_eq!(spec.source, Some(pb::spec::Source::Git(source)));
    assert_eq!(spec.config.as_ref().unwrap().base.as_ref().unwrap().text, "CONFIG_A=y\n");
}

#[test]
fn a_spec_that_cannot_be_read_never_reaches_a_daemon() {
    let fake = Fake::start(Script::default());
    let path = fake.dir.path().join("broken.toml");
    std::fs::write(&path, "[project]\nrecipe='klipper'\nrevision='v1'\n").unwrap();
    let mut command = fake.kbs(&["realize"]);
    let shown = run(command.arg(&path));
    assert_eq!(shown.status, Some(2));
    assert!(shown.stderr.contains("3 | revision='v1'"), "{}", shown.stderr);
    assert!(fake.seen.lock().unwrap().realize.is_empty());
}
