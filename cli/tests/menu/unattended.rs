//! Without a terminal.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::little::project;
use crate::terminal::kbs;

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = kbs(dir);
    command.args(["menuconfig", "--dialect=kconfiglib", "--tree=."]).args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn there_is_no_menu_without_a_terminal() {
    let dir = project("");
    let output = run(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        err(&output),
        "error: the menu needs a terminal to be shown on\n\nhelp: change single symbols with \
         --script 'set SYMBOL=VALUE; save'\n"
    );
    assert!(!dir.path().join(".config").exists());
}

#[test]
fn a_script_does_what_keys_do() {
    let dir = project("");
    let output = run(dir.path(), &["--script", "set SLEEP=2; save"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "./.config\n");
    let config = std::fs::read_to_string(dir.path().join(".config")).unwrap();
    assert!(config.contains("CONFIG_SLEEP=2\n"), "{config}");
    // What is there is the start of the next one.
    let output =
        run(dir.path(), &["--json", "--script", "save-minimal min; reset SLEEP; save all"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(told.lines().next().unwrap(), "{\"event\":\"saved\",\"path\":\"min\"}");
    assert_eq!(std::fs::read_to_string(dir.path().join("min")).unwrap(), "CONFIG_SLEEP=2\n");
    let all = std::fs::read_to_string(dir.path().join("all")).unwrap();
    assert!(!all.contains("CONFIG_SLEEP=2\n"), "{all}");
}

#[test]
fn a_script_that_cannot_go_on_says_why() {
    let dir = project("");
    for (script, error, help) in [
        ("set SLEEP=x; save", "error: cannot set SLEEP: `x` is not possible: ", ""),
        ("set GONE=2", "error: cannot set GONE: the project does not define it", ""),
        ("set SLEEPS=2", "error: cannot set SLEEPS", "help: did you mean SLEEP?"),
        ("set MCU=x", "error: cannot set MCU: nobody is asked for it: its value", ""),
        ("jump", "error: cannot understand the step `jump` of the script", "help: write steps as"),
        ("load gone", "error: cannot load gone\n  caused by: there is none", ""),
    ] {
        let output = run(dir.path(), &["--script", script]);
        assert_ne!(output.status.code(), Some(0), "{script}");
        assert!(err(&output).starts_with(error), "{script}: {}", err(&output));
        assert!(err(&output).contains(help), "{script}: {}", err(&output));
        assert!(!dir.path().join(".config").exists(), "{script}");
    }
    let output = run(dir.path(), &["--script", "set SLEEP=2"]);
    assert!(err(&output).contains("the script saves nothing"), "{}", err(&output));
}

#[test]
fn no_link_leads_out_of_the_directory() {
    let (dir, outside) = (project(""), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("Kconfig"), "config SECRET\n\tbool \"s\"\n").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    for source in ["out/Kconfig", "../Kconfig", "/etc/passwd"] {
        std::fs::write(dir.path().join("Kconfig"), format!("source \"{source}\"\n")).unwrap();
        let output = run(dir.path(), &["--script", "save"]);
        assert_eq!(output.status.code(), Some(2), "{source}: {}", err(&output));
        assert!(err(&output).contains("cannot read the Kconfig files"), "{}", err(&output));
    }
}

#[test]
fn commands_run_only_when_somebody_says_so() {
    let dir = project("");
    let text = "config A\n\tstring \"a\"\n\tdefault \"$(shell,echo ran; touch ran)\"\n";
    std::fs::write(dir.path().join("Kconfig"), text).unwrap();
    let output = run(dir.path(), &["--script", "save"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("help: --run-shell runs"), "{}", err(&output));
    assert!(!dir.path().join("ran").exists());
    let output = run(dir.path(), &["--run-shell", "--script", "save"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(dir.path().join("ran").exists());
    let config = std::fs::read_to_string(dir.path().join(".config")).unwrap();
    assert_eq!(config, "CONFIG_A=\"ran\"\n");
}
