//! `kbs shell` over pipes.

use kbs_proto::pb;
use kbs_proto::pb::shell_ended::How;
use kbs_proto::pb::shell_output::Output;

use crate::fake::{Ended, Fake, Script, Then, phase, run};

fn started(kept: &str) -> Output {
    let commands = [vec!["sh", "it's.sh"], vec!["make", "-j2", "all"]];
    let commands = commands
        .map(|argv| pb::CommandLine { argv: argv.into_iter().map(str::to_owned).collect() });
    Output::Started(pb::ShellStarted {
        project: "klipper".to_owned(),
        commands: commands.to_vec(),
        directory: "/build/src".to_owned(),
        kept: kept.to_owned(),
    })
}

fn shell(outputs: Vec<Output>, args: &[&str]) -> (Ended, Fake) {
    let fake = Fake::start(Script { shell: outputs, ..Script::default() });
    let spec = fake.spec();
    let mut command = fake.kbs(&["shell"]);
    if !args.contains(&"--failed") {
        command.arg(spec);
    }
    (run(command.args(args)), fake)
}

fn ended(how: How) -> Output {
    Output::Ended(pb::ShellEnded { how: Some(how) })
}

#[test]
fn what_is_open_is_told_with_what_to_type() {
    let (shown, fake) = shell(vec![started(""), ended(How::Status(0))], &[]);
    insta::assert_snapshot!(shown.transcript(fake.dir.path()), @r"
    status 0
    -- stdout
    -- stderr
    the sandbox of klipper as its build begins; changes are thrown away
    the build runs, in /build/src:
      sh 'it'\''s.sh'
      make -j2 all
    ");
    let (shown, fake) =
        shell(vec![started("/kept/tree"), ended(How::Status(0))], &["--failed", "0123"]);
    insta::assert_snapshot!(shown.transcript(fake.dir.path()), @r"
    status 0
    -- stdout
    -- stderr
    the sandbox of klipper as its build failed; changes stay in /kept/tree
    the build runs, in /build/src:
      sh 'it'\''s.sh'
      make -j2 all
    ");
}

#[test]
fn the_streams_and_the_status_are_those_of_the_command() {
    let streams = [Output::Stdout(b"o\xff".to_vec()), Output::Stderr(b"e".to_vec())];
    let fake = Fake::start(Script {
        shell: [vec![started("")], streams.to_vec(), vec![ended(How::Status(7))]].concat(),
        ..Script::default()
    });
    let mut command = fake.kbs(&["shell"]);
    let output = command.arg(fake.spec()).args(["--json", "--", "make", "-n"]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"o\xff"[..]));
    assert_eq!(output.stderr, b"e");
    let seen = fake.seen.lock().unwrap();
    let Some(pb::shell_input::Input::Open(open)) = &seen.shell else { panic!("{:?}", seen.shell) };
    assert_eq!(open.argv, ["make", "-n"]);
    assert_eq!(open.terminal, None);

    for (how, status) in
        [(How::Status(255), 255), (How::Signal(15), 143), (How::Killed("why".to_owned()), 137)]
    {
        let (shown, _fake) = shell(vec![started(""), ended(how)], &["-q", "--", "x"]);
        assert_eq!(shown.status, Some(status));
        assert_eq!(shown.stderr, if status == 137 { "error: why\n" } else { "" });
    }
}

#[test]
fn a_daemon_that_dies_is_told() {
    for outputs in [vec![], vec![started("")]] {
        let events = vec![phase("configure", None)];
        let script = Script { shell: outputs, events, then: Then::Vanish, ..Script::default() };
        let fake = Fake::start(script);
        let mut command = fake.kbs(&["shell"]);
        let shown = run(command.arg(fake.spec()).args(["--", "x"]));
        assert_eq!(shown.status, Some(3), "{}", shown.stderr);
        assert!(shown.stderr.contains("the daemon went away"), "{}", shown.stderr);
    }
}

#[test]
fn a_spec_and_a_failed_build_exclude_each_other_and_one_is_needed() {
    for args in [&["--failed", "0123", "spec.toml"][..], &["--failed", "0123", "--rev", "x"], &[]] {
        let fake = Fake::start(Script::default());
        let mut command = fake.kbs(&["shell"]);
        assert_eq!(run(command.args(args)).status, Some(2), "{args:?}");
        assert!(fake.seen.lock().unwrap().shell.is_none());
    }
}
