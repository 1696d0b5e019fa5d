//! `kbs shell`: a person in the sandbox of a build.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use kbs_testkit::{FxSpec, Repo, fx};
use rustix::process::Signal;

use crate::equal::Ordinary;
use crate::lab::{Answer, Lab, PATIENCE, answer, edit, fx_that_also, names, read, with_programs};
use crate::processes::{kill, long_sleep, until, with_command_line};
use crate::session::Session;
use crate::{is_root, skip};

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

fn shell<S: AsRef<OsStr>>(
    lab: &Lab,
    spec: &FxSpec,
    command: impl IntoIterator<Item = S>,
) -> Command {
    let mut kbs = lab.kbs();
    kbs.arg("shell").arg(lab.write(spec)).arg("--quiet").arg("--").args(command);
    kbs
}

fn sh(lab: &Lab, spec: &FxSpec, script: &str) -> Answer {
    answer(&mut shell(lab, spec, ["sh", "-c", script]))
}

/// An interactive shell, once it has told of itself and asks for a command.
fn sit(lab: &Lab, spec: &FxSpec) -> Session {
    let mut kbs = lab.kbs();
    let session = Session::start(kbs.arg("shell").arg(lab.write(spec)));
    let shown = session.wait_for("kbs fx:/build/src$ ");
    for told in ["thrown away", "the build runs, in /build/src:", "  make -j"] {
        assert!(shown.contains(told), "`{told}` is not in {shown}");
    }
    session
}

/// `fx` in an image with what people use.
fn furnished(repo: &Repo) -> FxSpec {
    with_programs(repo, &["bash", "id", "env", "sort", "stty", "date"])
}

#[test]
fn the_build_can_be_looked_at_and_run_by_hand() {
    let (lab, repo) = (Lab::new(), fx());
    edit(&repo, "Makefile", "@mkdir -p out", "mkdir -p out");
    repo.commit("say what is made");
    let spec = FxSpec::new(&repo);
    let key = lab.realize(&spec, &["--json"]).done().output();
    let log = lab.run(["log", &key.key]).done().out;
    let dry = answer(&mut shell(&lab, &spec, ["make", "-n"])).done().out;
    for line in log.lines().filter(|line| line.starts_with("mkdir")) {
        assert!(dry.contains(line), "`{line}` is not in {dry}");
    }
    assert!(log.contains("mkdir -p out\n"), "{log}");
    // What is built by hand is what is built.
    let made = sh(&lab, &spec, "make -s >&2; cat out/fx.bin").done().out;
    assert_eq!(made, read(key.path.join("fx.bin")));
    // And the next one finds nothing of it.
    assert_eq!(sh(&lab, &spec, "ls out 2>/dev/null | cat; exit 0").done().out, "");
    assert_eq!(lab.ls(&[]).len(), 1, "what is made by hand is no output");
}

#[test]
fn the_environment_is_that_of_a_build() {
    let (lab, repo) = (Lab::new(), fx());
    let dump =
        "mkdir -p out; env | sort >out/env; id >>out/env; umask >>out/env; ulimit -a >>out/env";
    let spec = furnished(&repo)
        .edit("\"fx.txt\"]", "\"fx.txt\", \"env\"]")
        .edit("[recipe.build]\n", &format!("[recipe.build]\nprepare = [['sh', '-c', '{dump}']]\n"))
        .toml("[env]\nFX_OWN = 'x'");
    let built = lab.realize(&spec, &["--json"]).done().output();
    let built = read(built.path.join("env"));
    assert!(built.contains("FX_OWN=x\n") && built.contains("uid=1000"), "{built}");
    assert_eq!(sh(&lab, &spec, &format!("{dump}; cat out/env")).done().out, built);

    // A terminal adds TERM, and a shell what shells add.
    let lines = |text: &str| -> BTreeSet<String> {
        let names = text.lines().map(|line| line.trim_end().to_owned());
        names.filter(|line| line.contains('=') && !line.contains("uid=")).collect()
    };
    let mut session = sit(&lab, &spec);
    session.type_in("env; echo the-$((1+1))nd\n");
    let shown = session.wait_for("the-2nd");
    let more: Vec<_> = lines(&shown).difference(&lines(&built)).cloned().collect();
    let more: BTreeSet<_> = more.iter().filter_map(|line| line.split('=').next()).collect();
    for name in &more {
        assert!(["TERM", "PS1", "SHLVL", "_", "OLDPWD"].contains(name), "{name} in {shown}");
    }
    assert!(shown.contains("TERM=vt220"), "{shown}");
    session.type_in("exit\n");
    assert_eq!(session.finish(), Some(0));
}

#[test]
fn status_and_streams_are_those_of_the_command() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let ended = sh(&lab, &spec, "echo out; echo err >&2; exit 7").left(7);
    assert_eq!((&*ended.out, &*ended.err), ("out\n", "err\n"));
    sh(&lab, &spec, "kill -TERM $$").left(143);
    let missing = answer(&mut shell(&lab, &spec, ["no-such-program"])).left(127);
    missing.telling(&["no-such-program"]);
    answer(&mut shell(&lab, &spec, [""])).left(2).telling(&["the command has no name"]);

    let mut child = shell(&lab, &spec, ["sh", "-c", "cat; echo end >&2; exit 3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // More than any pipe on the way holds, and bytes that are no text.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || stdin.write_all(&sent).unwrap()
    });
    let got = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(got.stdout == sent, "{} bytes of {}", got.stdout.len(), sent.len());
    assert_eq!((got.status.code(), &*got.stderr), (Some(3), &b"end\n"[..]));
    // Commands on stdin need no prompt.
    let mut kbs = lab.kbs();
    let piped = kbs.args(["shell", "-q"]).arg(lab.write(&spec)).stdin(Stdio::piped());
    let mut child = piped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"pwd\nexit 5\n").unwrap();
    let got = child.wait_with_output().unwrap();
    assert_eq!((got.status.code(), &*got.stdout), (Some(5), &b"/build/src\n"[..]));
    assert_eq!(got.stderr, b"");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let (lab, repo) = (Lab::new(), fx());
    let endless = ["awk", "BEGIN { while (1) print \"line\" }"];
    let mut command = shell(&lab, &FxSpec::new(&repo), endless);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "line\n");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
    until("nothing goes on in the sandbox", PATIENCE, || {
        with_command_line(&endless.join(" ")).is_empty()
    });
}

#[test]
fn a_terminal_is_one_inside_too() {
    let (lab, repo) = (Lab::new(), fx());
    for spec in [furnished(&repo), with_programs(&repo, &["id", "stty"])] {
        let mut session = sit(&lab, &spec);
        session.type_in(
            "id -u; pwd; stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo a-$((1+1))-b\n",
        );
        let shown = session.wait_for("a-2-b\r\n");
        for told in ["\r\n1000\r\n", "\r\n/build/src\r\n", "\r\n33 99\r\n"] {
            assert!(shown.contains(told), "{told:?} is not in {shown:?}");
        }
        session.resize(20, 71);
        until("the new size arrives", PATIENCE, || {
            session.type_in("stty size; echo si\"\"ze\n");
            session.wait_for("size\r\n").contains("20 71")
        });
        session.type_in("exit 7\n");
        assert_eq!(session.finish(), Some(7));
    }
}

#[test]
fn keys_that_interrupt_mean_the_command_inside() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = furnished(&repo);
    let mut session = sit(&lab, &spec);
    let sleep = format!("sleep {}", long_sleep());
    session.type_in(&format!("{sleep}\n"));
    until("it sleeps", PATIENCE, || with_command_line(&sleep).len() == 1);
    session.type_in(CTRL_C);
    session.wait_for("kbs fx:/build/src$ ");
    until("it was interrupted", PATIENCE, || with_command_line(&sleep).is_empty());
    session.type_in("echo $?-\n");
    session.wait_for("130-");
    session.type_in(&format!("{sleep}\n"));
    until("it sleeps", PATIENCE, || with_command_line(&sleep).len() == 1);
    session.type_in(CTRL_Z);
    session.wait_for("Stopped");
    session.type_in("kill -CONT %1; kill %1; wait; exit 3\n");
    assert_eq!(session.finish(), Some(3));

    // A command without a shell gets them, too.
    let mut session = Session::start(&shell(&lab, &spec, sleep.split(' ')));
    until("it sleeps", PATIENCE, || with_command_line(&sleep).len() == 1);
    until("it is at its terminal", PATIENCE, || {
        session.type_in(CTRL_C);
        with_command_line(&sleep).is_empty()
    });
    assert_eq!(session.finish(), Some(130));
}

#[test]
fn a_client_that_goes_takes_everything_along() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let sleep = format!("sleep {}", long_sleep());
        let mut client =
            shell(&lab, &spec, ["sh", "-c", &format!("{sleep} & {sleep}")]).spawn().unwrap();
        until("it sleeps", PATIENCE, || with_command_line(&sleep).len() == 2);
        let pid = rustix::process::Pid::from_child(&client);
        rustix::process::kill_process(pid, signal).unwrap();
        let status = client.wait().unwrap();
        assert_eq!(status.code(), (signal != Signal::KILL).then_some(4));
        until("the sandbox is gone", PATIENCE, || with_command_line(&sleep).is_empty());
    }
    let mut session = sit(&lab, &spec);
    session.signal(Signal::TERM);
    assert_eq!(session.finish(), Some(4), "{}", session.text());
    until("no scratch is left", PATIENCE, || lab.scratch().is_empty());
}

#[test]
fn a_daemon_that_goes_gives_the_terminal_back() {
    let (lab, repo) = (Lab::new(), fx());
    let mut session = sit(&lab, &FxSpec::new(&repo));
    lab.run(["daemon", "stop", "--force"]).done();
    let status = session.finish();
    assert!(matches!(status, Some(3 | 4)), "{status:?}: {}", session.text());
    let mut session = sit(&lab, &FxSpec::new(&repo));
    kill(lab.daemon_pid());
    assert_eq!(session.finish(), Some(3));
    // What it wrote last may still be on its way through the terminal.
    until("it is told why", PATIENCE, || session.text().contains("the daemon went away"));
}

#[test]
fn no_daemon_is_needed_and_an_idle_one_waits_for_its_shells() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo);
    let mut command = lab.kbs();
    command.args(["shell", "-q", "--no-daemon"]).arg(lab.write(&spec)).args(["--", "sh", "-c"]);
    answer(command.arg("exit 9")).left(9);

    let mut daemon = lab.kbs().args(["daemon", "run", "--idle-exit", "1"]).spawn().unwrap();
    let socket = lab.state().join("kbsd.sock");
    until("the daemon listens", PATIENCE, || socket.exists());
    sh(&lab, &spec, "sleep 4; exit 6").left(6);
    until("the daemon has left", PATIENCE, || daemon.try_wait().unwrap().is_some());
}

#[test]
fn limits_hold_inside_except_for_time() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).toml("[limits]\nwall = '1s'\nscratch = '8M'\nopen-files = 77");
    let ended = sh(&lab, &spec, "sleep 2; ulimit -n; exit 4").left(4);
    assert_eq!(ended.out, "77\n");
    sh(&lab, &spec, "cat /dev/zero >/tmp/big").left(137).telling(&["error: ", "limits.scratch"]);
}

/// A build that gets half way, and how to finish it.
fn fx_half_way() -> Repo {
    fx_that_also(&["echo half >out/half; rm message.txt; exit 9"])
}

/// Realizes, keeping the tree; the key of the failure.
fn fail(lab: &Lab, spec: &FxSpec) -> String {
    let failed = lab.realize(spec, &["--keep-failed"]).left(1);
    failed.telling(&["the work tree is ", "kbs shell --failed "]);
    lab.ls(&["--failed"])[0]["key"].as_str().unwrap().to_owned()
}

fn in_failed(lab: &Lab, key: &str, script: &str) -> Answer {
    lab.run(["shell", "--failed", key, "--", "sh", "-c", script])
}

#[test]
fn a_failed_build_goes_on_where_it_stopped() {
    let (lab, repo) = (Lab::new(), fx_half_way());
    let spec = FxSpec::new(&repo);
    let key = fail(&lab, &spec);
    let look = "cat out/half .config; git describe; [ -e message.txt ] || echo gone; pwd; \
                echo mine >out/mine; echo changed >Kconfig";
    let seen = in_failed(&lab, &key, look).done().telling(&["changes stay in "]);
    for line in ["half", "CONFIG_MACH_A=y", &repo.describe(), "gone", "/build/src"] {
        assert!(seen.out.lines().any(|seen| seen == line), "`{line}` is not in {seen}");
    }
    // Changes stay, and first digits will do.
    let digits = &key["key:".len()..][..6];
    let seen = in_failed(&lab, digits, "cat out/mine Kconfig; exit 4").left(4);
    assert_eq!(seen.out, "mine\nchanged\n");
    // Where nothing was kept, nothing can go on.
    let other = spec.clone().config("CONFIG_NAME=\"other\"");
    lab.realize(&other, &[]).left(1).telling(&["kbs shell SPEC", "--keep-failed"]);
    let failed = lab.ls(&["--failed"]);
    let other = failed.iter().map(|row| row["key"].as_str().unwrap()).find(|other| *other != key);
    in_failed(&lab, other.unwrap(), "true").left(2).telling(&["no work tree", "--keep-failed"]);
}

#[test]
fn the_newest_of_several_kept_trees_is_entered_by_one_at_a_time() {
    let (lab, repo) = (Lab::new(), fx_half_way());
    let spec = FxSpec::new(&repo);
    let key = fail(&lab, &spec);
    in_failed(&lab, &key, "echo first >out/which").done();
    fail(&lab, &spec);
    assert_eq!(names(&lab.state().join("kept")).len(), 2);
    in_failed(&lab, &key, "cat out/which").left(1);

    let mut first = lab.kbs();
    first.args(["shell", "--failed", &key, "-q", "--", "sh", "-c", "echo in; read word; exit 8"]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    in_failed(&lab, &key, "true").left(2).telling(&["a shell is open in the work tree"]);
    drop(first.stdin.take());
    assert_eq!(first.wait().unwrap().code(), Some(8));
    in_failed(&lab, &key, "true").done();
}

#[test]
fn what_a_kept_tree_needs_and_is_gone_is_named() {
    let (lab, repo) = (Lab::new(), fx_half_way());
    let key = fail(&lab, &FxSpec::new(&repo));
    let sources = lab.state().join("sources");
    std::fs::rename(&sources, lab.state().join("elsewhere")).unwrap();
    in_failed(&lab, &key, "true").left(2).telling(&["the source", "gone", "--keep-failed"]);
    std::fs::rename(lab.state().join("elsewhere"), &sources).unwrap();
    in_failed(&lab, &key, "true").done();
    let images = lab.run(["image", "ls", "--json"]).done().json();
    lab.run(["image", "rm", images["digest"].as_str().unwrap()]).done();
    in_failed(&lab, &key, "true").left(2).telling(&["the toolchain image", "--keep-failed"]);
    let kept = names(&lab.state().join("kept"));
    let record = lab.state().join("kept").join(&kept[0]).join("jail.json");
    std::fs::write(&record, "{\"project\":").unwrap();
    in_failed(&lab, &key, "true").left(3).telling(&["cannot read", "jail.json"]);
    std::fs::remove_file(record).unwrap();
    in_failed(&lab, &key, "true").left(2).telling(&["no work tree", "--keep-failed"]);
}

#[test]
fn an_image_is_not_removed_while_a_shell_is_open_in_it() {
    let (lab, repo) = (Lab::new(), fx_half_way());
    let spec = FxSpec::new(&repo);
    let key = fail(&lab, &spec);
    let path = lab.write(&spec);
    let image = lab.run(["image", "ls", "--json"]).done().json();
    for what in [vec!["--failed", &key], vec![path.to_str().unwrap()]] {
        let mut child = lab.kbs();
        child.args(["shell", "-q"]).args(what).args(["--", "sh", "-c", "echo in; read word"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let digest = image["digest"].as_str().unwrap();
        lab.run(["image", "rm", digest]).left(2).telling(&["in use"]);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn an_ordinary_user_can_do_all_of_it() {
    if !is_root() {
        return skip("only root can be somebody else");
    }
    let repo = fx_half_way();
    let user = Ordinary::new(&repo);
    let spec = user.spec(&repo, FxSpec::new(&repo));
    let seen = user.run(&["shell", &spec, "--", "sh", "-c", "cat message.txt; exit 3"]).left(3);
    assert!(seen.out.contains("The message of fx."), "{seen}");
    user.run(&["realize", &spec, "--keep-failed"]).left(1);
    let failed = user.run(&["ls", "--failed", "--json"]).done().json();
    let key = failed["key"].as_str().unwrap();
    for shown in ["half\n", "half\nmore\n"] {
        let script = "cat out/half; echo more >>out/half";
        let seen = user.run(&["shell", "--failed", key, "--", "sh", "-c", script]).done();
        assert_eq!(seen.out, shown);
    }
}

#[test]
fn a_full_kept_tree_can_still_be_entered() {
    let repo = fx_that_also(&["cat /dev/zero >out/big"]);
    let lab = Lab::new();
    let spec = FxSpec::new(&repo).toml("[limits]\nscratch = '8M'");
    let key = fail(&lab, &spec);
    // Long enough for the limit to be looked at.
    in_failed(&lab, &key, "sleep 2; rm out/big; exit 5").left(5);
}
