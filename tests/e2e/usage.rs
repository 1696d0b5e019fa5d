//! What a build uses is told while it runs, kept with it, and ends it where it is too much.

use std::time::{Duration, Instant};

use kbs_testkit::{FxSpec, Repo, fx};
use serde_json::Value;

use crate::lab::{Answer, Lab, answer, fx_that_also, with_programs};

/// Makes awk hold this many MiB, and wait.
fn hold(mib: u32, seconds: u32) -> String {
    let mib_of_text = "x = \"0123456789abcdef\"; while (length(x) < 1048576) x = x x;";
    let many = format!("for (i = 0; i < {mib}; i++) a[i] = x i;");
    format!("awk 'BEGIN {{ {mib_of_text} {many} system(\"sleep {seconds}\") }}'")
}

fn sampled(lab: &Lab, every: &str, spec: &FxSpec) -> Answer {
    let config = lab.dir().join("kbsd.toml");
    std::fs::write(&config, format!("sample = '{every}'\n")).unwrap();
    let mut kbs = lab.kbs();
    answer(kbs.env("KBS_CONFIG", config).arg("realize").arg(lab.write(spec)).arg("--json"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn samples_are_streamed_while_a_build_runs_and_kept_with_its_output() {
    let (lab, repo) = (Lab::new(), fx_that_also(&[&hold(64, 1)]));
    let spec = with_programs(&repo, &["awk", "sleep"]);
    let answer = sampled(&lab, "200ms", &spec).done();
    let events = answer.events();
    let samples: Vec<_> = events.iter().filter(|event| event["event"] == "sample").collect();
    assert!(samples.len() >= 2, "{answer}");
    assert!(samples.iter().any(|sample| number(sample, "memory_b") >= 64 << 20), "{answer}");
    assert!(samples.iter().all(|sample| number(sample, "pids") <= 8), "{answer}");

    let usage = &events.last().unwrap()["output"]["usage"];
    assert!(number(usage, "memory_peak_b") >= 64 << 20, "{usage}");
    assert!(number(usage, "pids_peak") >= 2 && number(usage, "scratch_files_peak") >= 1, "{usage}");
    assert!(["cgroup", "sampled"].contains(&usage["accounting"].as_str().unwrap()), "{usage}");
    let key = answer.output().key;
    let shown = lab.run(["show", "--json", &key]).done().json();
    let kept = shown["usage"]["samples"].as_array().unwrap();
    assert_eq!(kept.len(), samples.len());
    assert_eq!(kept[0]["memory_b"], samples[0]["memory_b"]);
    assert_eq!(shown["usage"]["memory_peak_b"], usage["memory_peak_b"]);
}

#[test]
fn a_build_ends_with_a_line_of_what_it_used() {
    let (lab, repo) = (Lab::new(), fx());
    let built = lab.realize(&FxSpec::new(&repo), &[]).done();
    built.telling(&["built fx", "(CPU ", "memory ", "scratch "]);
    let reused = lab.realize(&FxSpec::new(&repo), &[]).done();
    reused.telling(&["reused fx"]).not_telling(&["(CPU "]);
}

/// A build that passes a limit, which is then named with its value; and that succeeds without it.
fn ends_by_name(repo: &Repo, limit: &str, value: &str) {
    let lab = Lab::new();
    let spec = with_programs(repo, &["awk", "sleep", "touch", "seq"]);
    let start = Instant::now();
    let limited = spec.clone().toml(&format!("[limits]\n{limit} = {value}"));
    let answer = lab.realize(&limited, &["--json"]).left(1);
    assert!(start.elapsed() < Duration::from_mins(1), "{answer}");
    let events = answer.events();
    let failure = &events.last().unwrap()["failure"];
    assert_eq!(failure["limit"], limit, "{answer}");
    assert_eq!(failure["cause"], "limit");
    let text = failure["text"].as_str().unwrap();
    let told = format!("more than limits.{limit} allows ({})", value.trim_matches('\''));
    assert!(text.contains(&told), "{text}");
    let (project, key) = (&lab.ls(&["--failed"])[0], &events.last().unwrap()["key"]);
    assert_eq!(&project["key"], key);
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    assert!(lab.realize(&spec, &["--json"]).done().output().built);
}

#[test]
fn a_build_that_holds_too_much_memory_is_ended_by_name() {
    ends_by_name(&fx_that_also(&[&hold(90, 2)]), "memory", "'60M'");
}

#[test]
fn a_build_with_too_many_processes_is_ended_by_name() {
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 2 & done; wait";
    ends_by_name(&fx_that_also(&[many]), "pids", "8");
}

#[test]
fn a_build_that_makes_too_many_files_is_ended_by_name() {
    let many = "mkdir /tmp/many; cd /tmp/many; touch $$(seq 500)";
    ends_by_name(&fx_that_also(&[many]), "scratch-files", "300");
}
