//! A process that does things to a state directory, reports each, and is not expected to live long.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::facts::{differences, observe};
use super::scenario::{ACTS, Stage, facts_after};
use crate::Store;
use crate::faults::FAULT;

const VICTIM: &str = "tests::crash::victim::the_victim";
const STATE: &str = "KBS_TEST_VICTIM_STATE";
const PART: &str = "KBS_TEST_VICTIM_PART";

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tests) enum Part {
    /// Everything of the scenario.
    Scenario,
    /// Opens the directory and closes it.
    Open,
    /// Opens it with an index made again.
    Rebuild,
    /// Works with several threads until it is killed.
    Crowd,
}

impl Part {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Scenario, "scenario"),
        (Self::Open, "open"),
        (Self::Rebuild, "rebuild"),
        (Self::Crowd, "crowd"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(part, _)| *part == self).expect("all are listed").1
    }
}

/// What came of a process.
#[derive(Debug, Default)]
pub(in crate::tests) struct Report {
    /// How many acts it reported as done.
    pub(in crate::tests) done: usize,
    /// The steps it counted, each with the number of acts that were done before.
    pub(in crate::tests) steps: Vec<(usize, String)>,
    /// The step that was refused.
    pub(in crate::tests) refused: Option<String>,
    /// The act that failed, and what it said.
    pub(in crate::tests) failed: Option<(usize, String)>,
    /// It came to its end.
    pub(in crate::tests) ended: bool,
    /// All that it said, for the message of a test that fails.
    pub(in crate::tests) said: String,
}

/// The process.
pub(super) fn command(state: &Path, part: Part) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([VICTIM, "--exact", "--nocapture"])
        .env(STATE, state)
        .env(PART, part.name())
        .env_remove(FAULT)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts a process with a fault, and waits for its end.
pub(in crate::tests) fn run(state: &Path, part: Part, fault: &str) -> Report {
    let mut child = command(state, part).env(FAULT, fault).spawn().unwrap();
    let mut report = Report::default();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "done" => report.done = rest.parse::<usize>().unwrap() + 1,
            "step" => report.steps.push((report.done, rest.to_owned())),
            "refused" => report.refused = Some(rest.to_owned()),
            "failed" => {
                let (number, error) = rest.split_once(' ').unwrap();
                report.failed = Some((number.parse().unwrap(), error.to_owned()));
            }
            "ended" => report.ended = true,
            _ => {}
        }
        report.said.push_str(&line);
        report.said.push('\n');
    }
    let err = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    report.said.push_str(&err);
    let status = child.wait().unwrap();
    if !fault.starts_with("kill:") {
        assert!(status.success(), "{fault}: {status}: {}", report.said);
    }
    report
}

/// Does its part. Does nothing unless a test starts it.
#[test]
fn the_victim() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let part = std::env::var_os(PART).unwrap_or_default();
    let part = Part::ALL.iter().find(|(_, name)| part == *name);
    let Some((part, _)) = part else { return };
    let state = Path::new(&state);
    if *part == Part::Crowd {
        return super::chance::crowd(state);
    }
    // On one processor work is done in order, and steps have the same numbers each time.
    let allowed = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap());
    sched_setaffinity(None, &one).unwrap();
    match part {
        Part::Scenario => play(state),
        Part::Open => attempt(0, || Store::open(state).map(drop).map_err(Into::into)),
        Part::Rebuild => attempt(0, || Store::open_rebuilt(state).map(drop).map_err(Into::into)),
        Part::Crowd => unreachable!("it is elsewhere"),
    }
    say("ended");
}

fn play(state: &Path) {
    let mut stage = Stage::new(state);
    for (number, act) in ACTS.iter().enumerate() {
        if let Err(error) = (act.run)(&mut stage) {
            tell_failure(number, error.as_ref());
            if stage.is_open() {
                let (mut before, mut after) = (facts_after(number), facts_after(number + 1));
                act.at_stake.iter().for_each(|name| {
                    before.remove(*name);
                    after.remove(*name);
                });
                let mut found = observe(stage.store());
                found.retain(|name, _| !act.at_stake.contains(&name.as_str()));
                assert_eq!(differences(&found, &before, &after), [""; 0], "{}", act.name);
            }
            let again = (act.run)(&mut stage);
            assert!(again.is_ok(), "{} a second time: {again:?}", act.name);
        }
        say(&format!("done {number}"));
    }
}

fn attempt(number: usize, mut work: impl FnMut() -> Result<(), Box<dyn std::error::Error>>) {
    if let Err(error) = work() {
        tell_failure(number, error.as_ref());
        work().expect("there is one fault only");
    }
    say(&format!("done {number}"));
}

fn tell_failure(number: usize, error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    say(&format!("failed {number} {}", text.escape_debug()));
}

#[expect(clippy::print_stdout, reason = "how the other process is told")]
pub(super) fn say(line: &str) {
    println!("\n{line}");
}
