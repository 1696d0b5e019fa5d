//! Builds that fail: what is said, what is kept, and that nothing is cached.

use std::time::{Duration, Instant};

use kbs_testkit::{FxSpec, fx};

use crate::lab::{Answer, Lab, edit, fx_that_also, names, with_programs};
use crate::processes::{cpu_time, long_sleep, with_command_line};

/// Realizes, expects a failed build and these words, and that only the failure was kept.
#[track_caller]
fn fails(lab: &Lab, spec: &FxSpec, fragments: &[&str]) -> Answer {
    let answer = lab.realize(spec, &[]).left(1).telling(&["error: ", "kbs log key:"]);
    let answer = answer.telling(fragments);
    assert_eq!(answer.out, "");
    assert!(lab.ls(&[]).is_empty(), "a failure is no output");
    assert_eq!(lab.ls(&["--failed"]).len(), 1, "a failure is listed");
    answer
}

/// The log of the one build that failed.
fn log_of_failure(lab: &Lab) -> String {
    let failed = lab.ls(&["--failed"]);
    lab.run(["log", failed[0]["key"].as_str().unwrap()]).done().out
}

#[test]
fn a_failed_build_shows_its_last_lines_and_keeps_its_log() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_FAIL=y");
    fails(&lab, &spec, &["failing as asked", "Error 3", "`make", "exited with 2"]);
    let failed = &lab.ls(&["--failed"])[0];
    assert!(failed["failure"].as_str().unwrap().contains("exited with 2"), "{failed}");
    let log = log_of_failure(&lab);
    assert!(log.contains("building fx") && log.contains("failing as asked"), "{log}");
    lab.run(["ls", "--failed"]).done();

    // Asked again, it is tried again; repaired, it is built.
    fails(&lab, &spec, &["failing as asked"]);
    let spec = FxSpec::new(&repo);
    assert!(lab.realize(&spec, &["--json"]).done().output().built);
}

#[test]
fn a_failed_build_that_rewrote_its_configuration_is_told_of() {
    let lab = Lab::new();
    let repo = fx_that_also(&["echo CONFIG_NAME=\\\"other\\\" >>.config; exit 7"]);
    let told = "the build changed CONFIG_NAME from \"fx\" to \"other\"";
    fails(&lab, &FxSpec::new(&repo), &["Error 7", &format!("warning: {told}")]);
    assert!(log_of_failure(&lab).ends_with(&format!("kbs: {told}\n")));
    // What it left alone, or took away, is no news.
    let lab = Lab::new();
    let repo = fx_that_also(&["rm .config; exit 7"]);
    fails(&lab, &FxSpec::new(&repo), &["Error 7"]).not_telling(&[".config"]);
    let repo = fx();
    let spec = FxSpec::new(&repo).config("CONFIG_FAIL=y");
    lab.realize(&spec, &[]).left(1).not_telling(&["warning: the build changed"]);
}

#[test]
fn a_compile_error_is_among_the_last_lines() {
    let (lab, repo) = (Lab::new(), fx());
    edit(&repo, "Makefile", "all: ", "all: broken.o ");
    repo.write("broken.c", "int main(void) { return missing_semicolon }\n").commit("broken");
    let spec = with_programs(&repo, &["gcc", "as"]);
    fails(&lab, &spec, &["broken.c:1", "error:", "broken.o"]);
}

#[test]
fn a_log_has_every_line_and_the_error_only_the_last_ones() {
    let repo =
        fx_that_also(&["awk 'BEGIN { for (i = 0; i < 3000; i++) print \"line\", i }'; exit 9"]);
    let lab = Lab::new();
    let answer = fails(&lab, &FxSpec::new(&repo), &["line 2999", "Error 9"]);
    assert!(!answer.err.contains("line 100\n"), "{answer}");
    let log = log_of_failure(&lab);
    assert!(log.contains("line 0\n") && log.contains("line 100\n") && log.contains("line 2999\n"));
}

#[test]
fn a_pattern_that_nothing_matches_fails_and_caches_nothing() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).edit("\"fx.txt\"]", "\"fx.txt\", \"*.hex\"]");
    fails(&lab, &spec, &["nothing in src/out matches `*.hex`"]);
    assert!(log_of_failure(&lab).contains("building fx"));
    let spec = FxSpec::new(&repo).edit("root = \"src/out\"", "root = \"src/outt\"");
    let answer = lab.realize(&spec, &[]).left(1);
    answer.telling(&["no directory src/outt"]);
}

#[test]
fn a_configure_step_that_fails_shows_what_it_printed() {
    let (lab, repo) = (Lab::new(), fx());
    repo.write("Kconfig", "config X\n\tnonsense\n").commit("broken Kconfig");
    let answer = lab.realize(&FxSpec::new(&repo), &[]).left(1);
    answer.telling(&["configuring fx failed", "nonsense", "make olddefconfig"]);
}

#[test]
fn a_build_that_takes_too_long_is_ended() {
    let (lab, repo) = (Lab::new(), fx());
    let seconds = long_sleep();
    let spec = FxSpec::new(&repo).config(&format!("CONFIG_SLEEP={seconds}"));
    let start = Instant::now();
    fails(&lab, &spec.toml("[limits]\nwall = '1s'"), &["limits.wall", "(1s)"]);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(with_command_line(&format!("sleep {seconds}")).is_empty());
    assert!(log_of_failure(&lab).contains("sleeping"));
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
}

#[test]
fn a_build_that_fills_its_scratch_is_told_which_limit_that_was() {
    let repo = fx_that_also(&["cat /dev/zero >out/big"]);
    let lab = Lab::new();
    let spec = FxSpec::new(&repo).toml("[limits]\nscratch = '8M'");
    let raise = "help: raise limits.scratch in the spec, or in the daemon's configuration; ";
    fails(&lab, &spec, &["more than limits.scratch allows (8M)", raise]);
    // Another limit is not another key, so this is the same build with enough room to fail later.
    let failed = lab.ls(&["--failed"]);
    let spec = FxSpec::new(&repo).toml("[limits]\nscratch = '16M'");
    fails(&lab, &spec, &["more than limits.scratch allows (16M)"]);
    assert_eq!(lab.ls(&["--failed"])[0]["key"], failed[0]["key"]);
}

#[test]
fn artifacts_beyond_their_limit_are_not_kept() {
    let repo = fx_that_also(&["awk 'BEGIN { for (i = 0; i < 40000; i++) print i }' >out/big"]);
    let lab = Lab::new();
    let spec = FxSpec::new(&repo).edit("\"fx.txt\"]", "\"fx.txt\", \"big\"]");
    let small = spec.clone().toml("[limits]\noutput = '100K'");
    fails(&lab, &small, &["the artifacts hold 2", " KiB, more than limits.output allows (100K)"]);
    assert!(lab.realize(&spec, &["--json"]).done().output().built);
}

#[test]
fn a_log_beyond_its_limit_is_cut_and_says_so() {
    let repo = fx_that_also(&["awk 'BEGIN { for (i = 0; i < 9000; i++) print \"line\", i }'"]);
    let lab = Lab::new();
    let spec = FxSpec::new(&repo).toml("[limits]\nlog = '10K'");
    let key = lab.realize(&spec, &["--json"]).done().output().key;
    let log = lab.run(["log", &key]).done().out;
    assert!(log.len() < 11 << 10, "{} bytes", log.len());
    assert!(log.contains("line 5\n") && !log.contains("line 8999"), "{log}");
    let last = log.lines().last().unwrap();
    assert!(!last.starts_with("line") && last.contains("10240"), "the marker is `{last}`");
}

#[test]
fn following_a_log_beyond_its_limit_costs_nothing() {
    let repo = fx_that_also(&["awk 'BEGIN { for (i = 0; i < 9000; i++) print i }'", "sleep 3"]);
    let lab = Lab::new();
    let spec = FxSpec::new(&repo).toml("[limits]\nlog = '10K'");
    let path = lab.write(&spec);
    lab.run(["plan".as_ref(), path.as_os_str()]).done();
    let daemon = lab.daemon_pid();
    let before = cpu_time(daemon);
    let answer = lab.start(&spec, &[]).finish().done();
    assert!(answer.log().contains("\n5\n"), "{answer}");
    let used = cpu_time(daemon).saturating_sub(before);
    assert!(used < Duration::from_secs(1), "the daemon used {used:?}");
}

#[test]
fn the_work_tree_of_a_failure_is_kept_where_that_is_asked() {
    let (lab, repo) = (Lab::new(), fx());
    let spec = FxSpec::new(&repo).config("CONFIG_FAIL=y");
    let answer = lab.realize(&spec, &["--keep-failed", "--json"]).left(1);
    let events = answer.events();
    let kept = events.last().unwrap()["failure"]["kept"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&kept).is_dir(), "{kept}");
    lab.realize(&spec, &["--keep-failed"]).left(1).telling(&["the work tree is "]);
    let found = std::process::Command::new("find").arg(&kept).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("/out"), "{found}");
    // Without being asked, nothing is kept and nothing promised.
    lab.realize(&spec, &[]).left(1).not_telling(&["the work tree is"]);
    lab.realize(&FxSpec::new(&repo), &["--keep-failed"]).done();
    assert_eq!(names(&lab.state().join("kept")).len(), 2, "one for each failure that asked");
}
