//! Builds that leave things where artifacts should be: kept safely, or refused by name.

use std::os::unix::fs::PermissionsExt as _;

use kbs_testkit::FxSpec;

use crate::lab::{Answer, Lab, fx_that_also, names, read, with_programs};
use crate::session::Session;

/// Realizes `fx` that also runs `commands`, with artifacts that match `pattern` required, too.
fn collect(lab: &Lab, commands: &[&str], pattern: &str) -> Answer {
    let repo = fx_that_also(commands);
    let spec = with_programs(&repo, &["ln", "mkfifo", "chmod"]);
    let spec: FxSpec = spec.edit("\"fx.txt\"]", &format!("\"fx.txt\", \"{pattern}\"]"));
    let answer = lab.realize(&spec, &[]);
    if answer.code != Some(0) {
        assert_eq!(answer.out, "");
        assert!(lab.ls(&[]).is_empty(), "what is refused is not kept");
    }
    answer
}

#[track_caller]
fn refused(lab: &Lab, commands: &[&str], pattern: &str, fragments: &[&str]) {
    collect(lab, commands, pattern).left(1).telling(fragments);
}

#[test]
fn a_link_out_of_the_build_is_no_artifact() {
    let lab = Lab::new();
    refused(
        &lab,
        &["ln -s /etc/passwd out/evil"],
        "evil",
        &["matches only `evil`", "symbolic link"],
    );
    refused(&lab, &["ln -s ../../../../etc/passwd out/evil"], "evil", &["evil", "symbolic link"]);
    refused(&lab, &["ln -s fx.bin out/evil"], "evil", &["evil", "symbolic link"]);
}

#[test]
fn a_link_to_a_directory_is_not_followed() {
    let lab = Lab::new();
    refused(&lab, &["ln -s .. out/up"], "up/Makefile", &["nothing", "up/Makefile"]);
    refused(&lab, &["ln -s /etc out/etc"], "etc/passwd", &["nothing", "etc/passwd"]);
}

#[test]
fn a_link_that_stands_for_the_directory_of_artifacts_is_not_followed() {
    let lab = Lab::new();
    let answer = collect(&lab, &["mv out elsewhere && ln -s /etc out"], "passwd").left(1);
    answer.not_telling(&["root:"]);
    // A link within the build is not better: the recipe says where its artifacts are.
    let lab = Lab::new();
    collect(&lab, &["mv out elsewhere && ln -s elsewhere out"], "fx.bin");
}

#[test]
fn a_fifo_is_no_artifact_and_does_not_block() {
    let lab = Lab::new();
    refused(&lab, &["mkfifo out/pipe"], "pipe", &["matches only `pipe`", "named pipe"]);
}

#[test]
fn a_directory_is_no_artifact() {
    let lab = Lab::new();
    refused(&lab, &["mkdir out/dir"], "dir", &["nothing in src/out matches `dir`"]);
}

#[test]
fn neither_special_bits_nor_owners_get_into_an_output() {
    let lab = Lab::new();
    // The sandbox may refuse the bit, or the collector leaves it behind.
    let commands = [
        "echo x >out/suid && chmod 755 out/suid",
        "chmod u+s out/suid || echo refused",
        "chmod g+s out/suid || echo refused",
        "mkdir out/d && echo y >out/d/f && chmod 666 out/d/f && chmod 1777 out/d",
    ];
    let path = collect(&lab, &commands, "*").done().path();
    let mode =
        |name: &str| std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("suid"), mode("d/f"), mode("d")), (0o555, 0o444, 0o555));
}

#[test]
fn a_set_id_bit_cannot_be_set_inside() {
    let lab = Lab::new();
    let commands = ["echo x >out/suid", "chmod u+s out/suid"];
    collect(&lab, &commands, "suid").left(1).telling(&["not permitted"]);
}

#[test]
fn files_that_their_owner_may_not_read_are_kept_or_refused_by_name() {
    let commands =
        ["mkdir out/shut && echo x >out/shut/f && chmod 000 out/shut/f && chmod 000 out/shut"];
    let lab = Lab::new();
    let answer = collect(&lab, &commands, "shut/f");
    if answer.code == Some(0) {
        assert_eq!(read(answer.path().join("shut/f")), "x\n");
    } else {
        answer.left(1).telling(&["shut"]);
    }
}

#[test]
fn very_deep_directories_end_the_search_and_not_the_daemon() {
    let lab = Lab::new();
    let deep = "i=0; d=out; while [ $$i -lt 200 ]; do d=$$d/d; i=$$((i+1)); done; \
                mkdir -p $$d && echo x >$$d/deep";
    let answer = collect(&lab, &[deep], "**/deep");
    if answer.code != Some(0) {
        answer.left(1).telling(&["deep"]);
    }
    let shallow = "mkdir -p out/1/2/3/4/5/6/7/8 && echo x >out/1/2/3/4/5/6/7/8/deep";
    let lab = Lab::new();
    let path = collect(&lab, &[shallow], "deep").done().path();
    assert_eq!(read(path.join("1/2/3/4/5/6/7/8/deep")), "x\n");
}

#[test]
fn what_cannot_be_kept_is_left_out_by_name_and_shown_escaped() {
    let lab = Lab::new();
    let commands = [
        "printf x >\"out/a$$(printf '\\nb').evil\"",
        "printf y >\"out/$$(printf '\\033')[2J.evil\"",
        "printf z >\"out/$$(printf '\\377').evil\"",
        "printf z >out/good.evil",
        "ln -s good.evil out/link.evil",
        "mkfifo out/pipe.evil",
    ];
    let told = [
        "not kept: `",
        "a\\nb.evil` has a name with control characters",
        "`\\u{1b}[2J.evil` has a name with control characters",
        "`\u{fffd}.evil` has a name that is not UTF-8",
        "`link.evil` is a symbolic link",
        "`pipe.evil` is a named pipe",
    ];
    let answer = collect(&lab, &commands, "*.evil").done().telling(&told);
    let path = answer.path();
    assert_eq!(names(&path), ["fx.bin", "fx.txt", "good.evil"]);
    let key = lab.ls(&[])[0]["key"].as_str().unwrap().to_owned();
    let shown = lab.run(["show", &key]).done().not_telling(&["\u{1b}", "a\nb.evil"]);
    for told in told {
        assert!(shown.out.contains(told), "`{told}` is not in\n{shown}");
    }
    lab.run(["show", &key, "--json"]).done().json();

    let lab = Lab::new();
    refused(&lab, &commands[2..3], "*.evil", &["matches only `\u{fffd}.evil`", "not UTF-8"]);
}

#[test]
fn what_a_build_prints_cannot_drive_the_terminal_of_who_reads_the_error() {
    let lab = Lab::new();
    let answer =
        collect(&lab, &["printf '\\033[2J\\033]0;owned\\007text\\n'; exit 1"], "x").left(1);
    let answer = answer.telling(&["text"]);
    assert!(!answer.err.contains('\u{1b}') && !answer.err.contains('\u{7}'), "{answer}");
}

#[test]
fn a_log_cannot_drive_the_terminal_that_it_is_shown_on() {
    let hostile = "printf 'a\\033]0;owned\\007\\033[2J\\302\\2335n\\033[6n\\033[31mred\\n'";
    let repo = fx_that_also(&[hostile]);
    let lab = Lab::new();
    let key = lab.realize(&FxSpec::new(&repo), &["--json"]).done().output().key;
    let raw = lab.run(["log", &key]).done().out;
    assert!(
        raw.contains("\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}5n\u{1b}[6n"),
        "a pipe has it all: {raw:?}"
    );

    let shown_as = "a\u{1b}[31mred\r\n";
    let mut session = Session::start(lab.kbs().args(["log", &key]));
    // What the log leaves on is ended.
    let shown = session.wait_for("\u{1b}[0m");
    assert!(shown.contains(shown_as), "{shown:?}");
    assert_eq!(session.finish(), Some(0));

    let mut kbs = lab.kbs();
    let rebuild = kbs.arg("realize").arg(lab.write(&FxSpec::new(&repo))).args(["-L", "--rebuild"]);
    let mut session = Session::start(rebuild);
    let shown = session.wait_for("built fx");
    assert!(shown.contains(shown_as), "{shown:?}");
    assert_eq!(session.finish(), Some(0));
}

#[test]
fn a_build_cannot_reach_the_network_or_write_to_what_it_was_given() {
    let lab = Lab::new();
    let commands = [
        "! echo x >/etc/kbs-was-here",
        "! echo x >/build/tools/git",
        "! mkdir /kbs-was-here",
        "! cat /etc/shadow",
        "[ ! -e /proc/1/root/work ] && [ ! -e /root ] || ! ls /root/*",
    ];
    let repo = fx_that_also(&commands);
    let spec = with_programs(&repo, &["ls"]);
    lab.realize(&spec, &[]).done();
    assert!(!std::path::Path::new("/etc/kbs-was-here").exists());
}

#[test]
fn a_process_that_the_build_leaves_behind_ends_with_it() {
    let lab = Lab::new();
    let seconds = crate::processes::long_sleep();
    let line = format!("sleep {seconds}");
    let repo = fx_that_also(&[&format!("{line} </dev/null >/dev/null 2>&1 &")]);
    lab.realize(&FxSpec::new(&repo), &[]).done();
    assert!(crate::processes::with_command_line(&line).is_empty());
}
