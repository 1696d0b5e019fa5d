//! The daemon killed at its system calls, and at any time, through the whole way of a build: started
//! again, it serves what was asked for, and nothing lies about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kbs_testkit::{FxSpec, Repo};

use crate::lab::{Lab, PATIENCE, fx_that_also, names, read};
use crate::processes::{children, command_line, is_alive, kill, mounts, until};
use crate::skip;

/// When what was killed is gone with all that belonged to it.
const GONE: Duration = Duration::from_secs(10);

/// The calls that change something on a disk.
const CALLS: [&str; 14] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "symlink",
    "fsync",
    "fdatasync",
    "syncfs",
    "pwrite64",
];

/// A daemon whose system calls, and those of all its children, are traced.
struct Traced {
    child: Child,
}

impl Traced {
    /// Starts it, and waits until it listens or has come to its end.
    fn start(lab: &Lab, options: &[&str]) -> Self {
        let kbs = lab.kbs();
        let mut command = Command::new("strace");
        // All calls stop: where a filter lets others pass, no signal is sent.
        command.args(["-f", "-qq"]).args(options);
        command.arg(kbs.get_program()).args(["daemon", "run"]).stdin(Stdio::null());
        for (name, value) in kbs.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let said = fs::File::create(lab.dir().join("daemon")).unwrap();
        command.stdout(Stdio::null()).stderr(said);
        let mut traced = Self { child: command.spawn().unwrap() };
        let socket = lab.state().join("kbsd.sock");
        until("the daemon listens", PATIENCE, || {
            socket.exists() || traced.child.try_wait().unwrap().is_some()
        });
        traced
    }

    /// Ends it, unless it was killed; says whether it was. Nothing of it runs any more then: the tracer
    /// waits for all.
    #[track_caller]
    fn was_killed(mut self, lab: &Lab, when: &str) -> bool {
        lab.run(["daemon", "stop"]);
        let mut status = None;
        until(&format!("{when}: the daemon and its children are gone"), GONE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.is_some_and(|status| status.signal() == Some(9))
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Only that of a test that failed is still there.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether system calls can be traced here.
fn can_trace() -> bool {
    let options = ["-f", "-qq", "-o", "/dev/null", "true"];
    let traced = Command::new("strace").args(options).output();
    let can = traced.is_ok_and(|output| output.status.success());
    if !can {
        skip("without strace no daemon can be killed at its system calls");
    }
    can
}

/// Calls that threads of the daemon make and no child of it: the first and the last number of each.
type Calls = Vec<(String, u64, u64)>;

/// What threads of the daemon are called; its children run other programs.
const THREADS: [&str; 3] = ["kbs", "tokio", "build"];

/// `fx` with so many files that each stage has something to do.
struct Work {
    _repo: Repo,
    spec: FxSpec,
}

impl Work {
    fn new() -> Self {
        let repo = fx_that_also(&[
            "awk 'BEGIN { for (i = 0; i < 30; i++) { f = \"out/a\" i; print i, i * i >f; close(f) } }'",
        ]);
        for number in 0..30 {
            repo.write(&format!("data/{}/{number}", number % 5), format!("number {number}\n"));
        }
        repo.commit("many files");
        let spec = FxSpec::new(&repo).edit("\"fx.txt\"]", "\"fx.txt\", \"a*\"]");
        Self { _repo: repo, spec }
    }

    /// One of many that differ in a name.
    fn named(&self, number: u64) -> FxSpec {
        self.spec.clone().config(&format!("CONFIG_NAME=\"n{number}\""))
    }

    /// Builds one and counts.
    fn count(&self, lab: &Lab, number: u64) -> Calls {
        let trace = lab.dir().join("trace");
        let calls = format!("trace={}", CALLS.join(","));
        let options = ["-Y", "-e", calls.as_str(), "-o", trace.to_str().unwrap()];
        let traced = Traced::start(lab, &options);
        lab.realize(&self.named(number), &[]).done();
        assert!(!traced.was_killed(lab, "counted"));
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let text = read(trace);
        for (thread, call) in text.lines().filter_map(|line| line.split_once("> ")) {
            if let Some((name, _)) = call.split_once('(') {
                *counts.entry((thread, name)).or_default() += 1;
            }
        }
        let mut most: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for ((thread, name), count) in counts {
            let (daemons, others) = most.entry(name).or_default();
            let name = thread.split_once('<').map_or("", |(_, name)| name);
            let is_daemons = THREADS.iter().any(|known| name.starts_with(known));
            let place = if is_daemons { daemons } else { others };
            *place = count.max(*place);
        }
        most.retain(|name, (daemons, others)| CALLS.contains(name) && others < daemons);
        assert!(most.len() >= 4, "{most:?}");
        let calls = most.into_iter();
        calls.map(|(name, (last, others))| (name.to_owned(), others + 1, last)).collect()
    }
}

/// Numbers that only depend on the first.
struct Chance(u64);

impl Chance {
    fn new(share: u64) -> Self {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = number_in("KBS_TEST_SEED").unwrap_or(clock.as_secs());
        writeln!(std::io::stderr(), "KBS_TEST_SEED={seed}").expect("stderr is open");
        Self(seed.wrapping_mul(1_000_003).wrapping_add(share))
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % limit
    }
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var_os(variable)?.into_string().ok()?.parse().ok()
}

/// So many kills of each test.
fn kills() -> u64 {
    number_in("KBS_TEST_KILLS").map_or(10, |kills| kills.div_ceil(5))
}

/// What was told of outputs: their keys, and the trees of these.
type Told = BTreeMap<String, String>;

/// Starts it again after a kill, and looks at everything; what is built is noted, and nothing runs then.
#[track_caller]
fn all_is_well(lab: &Lab, spec: &FxSpec, told: &mut Told, when: &str) {
    let listed: BTreeSet<_> =
        lab.ls(&[]).iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect();
    for key in told.keys() {
        assert!(listed.contains(key), "{when}: {key} is lost");
    }
    // Before it is made again, under the same names.
    nothing_lies_about(lab, listed.len(), when);
    let again = lab.realize(spec, &["--json"]).done().output();
    told.insert(again.key.clone(), again.tree.clone());
    assert_eq!(lab.ls(&[]).len(), told.len(), "{when}: nothing else is listed");
    let reused = lab.realize(spec, &["--json"]).done().output();
    assert_eq!((reused.built, &reused.tree), (false, &again.tree), "{when}");
    lab.run(["store", "verify"]).done();
    nothing_lies_about(lab, told.len(), when);
    lab.run(["daemon", "stop"]).done();
}

#[track_caller]
fn nothing_lies_about(lab: &Lab, outputs: usize, when: &str) {
    until(&format!("{when}: scratch is empty"), GONE, || lab.scratch().is_empty());
    let mut left = Vec::new();
    for _ in 0..100 {
        left = orphans(lab.state(), outputs);
        if left.is_empty() {
            return;
        }
        std::thread::sleep(GONE / 100);
    }
    panic!("{when}: left behind: {left:#?}");
}

/// An empty state directory builds the same.
#[track_caller]
fn is_the_same_elsewhere(spec: &FxSpec, told: &Told) {
    let clean = Lab::new();
    let wanted = clean.realize(spec, &["--json"]).done().output();
    assert_eq!(told.get(&wanted.key), Some(&wanted.tree));
}

/// What nothing is made of, where there are so many outputs and one image.
fn orphans(state: &Path, outputs: usize) -> Vec<String> {
    let mut orphans = Vec::new();
    for (dir, most) in [("outputs", outputs), ("logs", outputs), ("images", 1)] {
        let there: Vec<_> =
            names(&state.join(dir)).into_iter().filter(|name| !name.starts_with('.')).collect();
        orphans.extend(there.into_iter().skip(most).map(|name| format!("{dir}/{name}")));
    }
    let layers: BTreeSet<_> = names(&state.join("sources")).into_iter().collect();
    for name in names(&state.join("meta")) {
        let layer = name.strip_prefix("layer-").and_then(|name| name.strip_suffix(".json"));
        if layer.is_some_and(|name| !layers.contains(name)) {
            orphans.push(format!("meta/{name}"));
        }
    }
    let of_outputs = names(&state.join("meta")).into_iter().filter(|name| name.len() == 69);
    orphans.extend(of_outputs.skip(outputs).map(|name| format!("meta/{name}")));
    for dir in names(&state.join("blobs")) {
        for name in names(&state.join("blobs").join(&dir)) {
            let path = state.join("blobs").join(&dir).join(&name);
            if fs::symlink_metadata(path).is_ok_and(|facts| facts.nlink() < 2) {
                orphans.push(format!("blobs/{dir}/{name}"));
            }
        }
    }
    orphans
}

/// So many of the kills come while a state directory is new, and its image is made.
const NEW_EVERY: u64 = 5;

fn killed_at_calls(share: u64) {
    if !can_trace() {
        return;
    }
    let (work, mut chance, mounted) = (Work::new(), Chance::new(share), mounts());
    let mut lab = Lab::new();
    let when_new = work.count(&lab, 0);
    let when_warm = work.count(&lab, 1);
    let (mut killed, mut told) = (0, Told::new());
    for number in [0, 1] {
        let output = lab.realize(&work.named(number), &["--json"]).done().output();
        assert!(!output.built);
        told.insert(output.key, output.tree);
    }
    lab.run(["daemon", "stop"]).done();
    for number in 2.. {
        if killed == kills() {
            break;
        }
        assert!(number < 2 * kills() + 8, "only {killed} of {number} met the daemon");
        let is_new = number % NEW_EVERY == 4;
        if is_new {
            (lab, told) = (Lab::new(), Told::new());
        }
        let calls = if is_new { &when_new } else { &when_warm };
        let chosen = usize::try_from(chance.below(calls.len() as u64)).unwrap();
        let (call, first, last) = &calls[chosen];
        let nth = first + chance.below(last + 1 - first);
        let when = format!("killed at {call} number {nth}, new: {is_new}");
        let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
        let trace = format!("trace={call}");
        let options = ["-o", "/dev/null", "-e", trace.as_str(), "-e", inject.as_str()];
        let traced = Traced::start(&lab, &options);
        let spec = work.named(number);
        let answer = lab.start(&spec, &[]).finish();
        // It may have been one of its children, or a call that did not come this time.
        if traced.was_killed(&lab, &when) {
            killed += 1;
            assert!(matches!(answer.code, Some(0 | 3)), "{when}: {answer}");
        } else {
            assert!(matches!(answer.code, Some(0..=3)), "{when}: {answer}");
        }
        let more: Vec<_> = mounts().difference(&mounted).cloned().collect();
        assert!(more.is_empty(), "{when}: mounted: {more:#?}");
        all_is_well(&lab, &spec, &mut told, &when);
        if is_new {
            is_the_same_elsewhere(&spec, &told);
        }
    }
}

#[test]
fn a_daemon_killed_at_any_system_call_loses_nothing_1() {
    killed_at_calls(1);
}

#[test]
fn a_daemon_killed_at_any_system_call_loses_nothing_2() {
    killed_at_calls(2);
}

#[test]
fn a_daemon_killed_at_any_system_call_loses_nothing_3() {
    killed_at_calls(3);
}

#[test]
fn a_daemon_killed_at_any_system_call_loses_nothing_4() {
    killed_at_calls(4);
}

#[test]
fn a_daemon_killed_at_any_time_loses_nothing() {
    let (work, mut chance, mounted) = (Work::new(), Chance::new(5), mounts());
    let (mut lab, mut told) = (Lab::new(), Told::new());
    for number in 0..kills() {
        let is_new = number % NEW_EVERY == 0;
        if is_new {
            (lab, told) = (Lab::new(), Told::new());
        }
        lab.ls(&[]);
        let daemon = lab.daemon_pid();
        let mut helpers = children(daemon);
        helpers.retain(|pid| command_line(*pid).contains("__kbs-jail-helper"));
        let spec = work.named(number);
        let client = lab.start(&spec, &[]);
        let delay = Duration::from_millis(chance.below(if is_new { 1500 } else { 400 }));
        std::thread::sleep(delay);
        kill(daemon);
        let when = format!("killed after {delay:?}, new: {is_new}");
        let answer = client.finish();
        assert!(matches!(answer.code, Some(0 | 3)), "{when}: {answer}");
        until(&format!("{when}: the daemon and its helper are gone"), GONE, || {
            !is_alive(daemon) && !helpers.iter().any(|pid| is_alive(*pid))
        });
        let more: Vec<_> = mounts().difference(&mounted).cloned().collect();
        assert!(more.is_empty(), "{when}: mounted: {more:#?}");
        all_is_well(&lab, &spec, &mut told, &when);
    }
    is_the_same_elsewhere(&work.named(kills() - 1), &told);
}
