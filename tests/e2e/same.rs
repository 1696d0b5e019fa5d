//! A build sees the same wherever and however the daemon runs: `probe/` prints all it can see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbs_testkit::Repo;

use crate::equal::Ordinary;
use crate::lab::{Answer, KBS, Lab, answer, read};
use crate::{is_root, skip};

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/e2e/probe");

/// The probe as a project of its own.
fn probe() -> Repo {
    let repo = Repo::new();
    let inside = repo.path().join("tests/e2e");
    std::fs::create_dir_all(&inside).unwrap();
    answer(Command::new("cp").arg("-a").args([PROBE.as_ref(), inside.as_path()])).done();
    drop(std::fs::remove_dir_all(inside.join("probe/out")));
    repo.commit("probe");
    repo
}

/// The probe's spec, for a repository elsewhere.
fn spec(dir: &Path, git: &str) -> PathBuf {
    let path = dir.join("probe.toml");
    let text = read(Path::new(PROBE).join("spec.toml"));
    std::fs::write(&path, text.replace("\"../../..\"", &format!("'{git}'"))).unwrap();
    path
}

/// What a build has seen, by section.
struct Seen(BTreeMap<String, Vec<String>>);

impl Seen {
    fn in_log(answer: &Answer) -> Self {
        let mut sections = BTreeMap::new();
        let mut section = None;
        for line in answer.log().lines() {
            if let Some(name) = line.strip_prefix("== ") {
                section = Some(sections.entry(name.to_owned()).or_insert_with(Vec::new));
            } else if let Some(section) = &mut section {
                section.push(line.to_owned());
            }
        }
        assert!(sections.len() > 10, "the probe said little: {answer}");
        Self(sections)
    }

    fn section(&self, name: &str) -> String {
        self.0[name].join("\n")
    }

    /// Compares line by line, except for what must differ: a section that does not is as wrong.
    #[track_caller]
    fn assert_is(&self, usual: &Self, who: &str, differing: &[&str]) {
        let mut report = String::new();
        for (name, lines) in &usual.0 {
            let ours = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
            if differing.contains(&name.as_str()) {
                assert_ne!(ours, lines, "{who}: {name} is equal, so it need not be excepted");
                continue;
            }
            let only = |sign: char, of: &[String], other: &[String]| -> String {
                let lines = of.iter().filter(|line| !other.contains(line));
                lines.map(|line| format!("{sign} {name}: {line}\n")).collect::<Vec<_>>().concat()
            };
            report += &only('-', lines, ours);
            report += &only('+', ours, lines);
            assert!(!report.is_empty() || ours == lines, "{who}: other order in {name}");
        }
        assert!(
            report.is_empty(),
            "{who}: a build sees something else (+) than usual (-)\n{report}"
        );
    }
}

/// A state directory where the probe was built once, as usual.
struct Place {
    lab: Lab,
    repo: Repo,
    usual: Seen,
}

impl Place {
    fn new() -> Self {
        let (lab, repo) = (Lab::new(), probe());
        let answer = lab.run(["realize", "--json", "--log", path(&spec(lab.dir(), repo.url()))]);
        let usual = Seen::in_log(&answer.done());
        lab.run(["daemon", "stop"]).done();
        Self { lab, repo, usual }
    }

    /// Builds again, by a command that ends in a `kbs` command line.
    #[track_caller]
    fn seen_by(&self, mut command: Command, options: &[&str]) -> Seen {
        let spec = self.lab.dir().join("probe.toml");
        command.env("KBS_STATE", self.lab.state()).env("KBS_CONFIG", "/dev/null");
        command.args([KBS, "realize", "--no-daemon", "--rebuild", "--json", "--log", path(&spec)]);
        Seen::in_log(&answer(command.args(options)).done())
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary directories have names of plain letters")
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

#[test]
fn how_the_daemon_is_started_is_not_seen() {
    let place = Place::new();
    let shell = "umask 077; cd /usr; exec 7</dev/null 9</etc/passwd; trap '' INT HUP PIPE TERM USR1 CHLD; \
                 ulimit -S -n 200; ulimit -S -s 4096; ulimit -S -l 8; ulimit -S -t 5000; \
                 ulimit -S -v 90000000; ulimit -S -f 9000000; \
                 TZ=Asia/Kathmandu LANG=tr_TR.UTF-8 HOME=/nonexistent exec \"$0\" \"$@\"";
    let blocked = "import os, signal, sys\n\
                   signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n\
                   os.execvp(sys.argv[1], sys.argv[1:])";
    // A session with a terminal of its own; only the answers leave it.
    let terminal = "import os, pty, sys\n\
                    streams = [os.dup(1), os.dup(2)]\n\
                    pid, _ = pty.fork()\n\
                    if pid == 0:\n    \
                        os.dup2(streams[0], 1)\n    \
                        os.dup2(streams[1], 2)\n    \
                        os.execvp(sys.argv[1], sys.argv[1:])\n\
                    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))";
    let ways: &[(&[&str], &[&str])] = &[
        (&["env"], &[]),
        (&["sh", "-c", shell], &[]),
        (&["python3", "-c", blocked], &[]),
        (&["python3", "-c", terminal], &[]),
        (&["taskset", "1"], &[]),
        (&["chrt", "-b", "0"], &[]),
        (&["ionice", "-c", "3"], &[]),
        // How much of the machine builds get is the operator's to say.
        (&["nice", "-n", "5"], &["scheduling"]),
    ];
    for (way, differing) in ways {
        place.seen_by(command(way), &[]).assert_is(&place.usual, &way.join(" "), differing);
    }
}

#[test]
fn a_user_namespace_around_the_daemon_is_not_seen() {
    let place = Place::new();
    let ways: [&[&str]; 2] = [
        &["unshare", "-U", "-r"],
        &["unshare", "-r", "-m", "-p", "-n", "-i", "-u", "--fork", "--mount-proc"],
    ];
    for way in ways {
        place.seen_by(command(way), &[]).assert_is(&place.usual, &way.join(" "), &[]);
    }
}

#[test]
fn another_user_is_seen_as_the_owner_of_devices_and_nowhere_else() {
    if !is_root() {
        return skip("only root can be root and somebody else");
    }
    let place = Place::new();
    let user = Ordinary::new(&place.repo);
    let spec = spec(user.dir(), path(&user.dir().join("fx.git")));
    let answer = user.run(&["realize", "--no-daemon", "--json", "--log", path(&spec)]);
    Seen::in_log(&answer.done()).assert_is(&place.usual, "an ordinary user", &["owner"]);
}

#[test]
fn where_the_state_directory_is_is_not_seen() {
    let place = Place::new();
    let lab = Lab::new();
    let deep = lab.dir().join("a/state/far/below, with: signs \\ that options have");
    let spec = spec(lab.dir(), place.repo.url());
    let mut kbs = command(&[KBS, "realize", "--no-daemon", "--json", "--log", path(&spec)]);
    let answer = answer(kbs.env("KBS_STATE", &deep).env("KBS_CONFIG", "/dev/null"));
    Seen::in_log(&answer.done()).assert_is(&place.usual, "another state directory", &[]);
}

#[test]
fn a_work_tree_on_disk_tells_the_size_of_the_disk_and_no_path() {
    let place = Place::new();
    let seen = place.seen_by(command(&["env"]), &["--keep-failed"]);
    seen.assert_is(&place.usual, "scratch on disk", &["mounts", "room"]);
    for seen in [&seen, &place.usual] {
        let mounts = seen.section("mounts");
        let state = path(place.lab.state());
        for trace in [state, "scratch", "kept", "images", "sources"] {
            assert!(!mounts.contains(trace), "`{trace}` is in the table of mounts\n{mounts}");
        }
    }
}

#[test]
fn a_state_directory_that_cannot_be_a_layer_is_seen_in_the_table_of_mounts_only() {
    let place = Place::new();
    let dir = place.lab.dir().join("layers");
    std::fs::create_dir(&dir).unwrap();
    // As deep as overlays can lie on each other.
    let script = "set -e; cd \"$0\"; mount -t tmpfs none .; cd \"$0\"; mkdir e u1 w1 m1 u2 w2 m2\n\
                  mount -t overlay -o userxattr,lowerdir=e,upperdir=u1,workdir=w1 none m1\n\
                  mount -t overlay -o userxattr,lowerdir=m1,upperdir=u2,workdir=w2 none m2\n\
                  mkdir -m 700 m2/state; KBS_STATE=\"$0/m2/state\" exec \"$@\"";
    let mut command = command(&["unshare", "-r", "-m", "sh", "-c", script, path(&dir)]);
    let spec = place.lab.dir().join("probe.toml");
    command.args([KBS, "realize", "--no-daemon", "--json", "--log", path(&spec)]);
    let answer = answer(command.env("KBS_CONFIG", "/dev/null")).done();
    let told = answer.notices("degraded");
    assert!(told.iter().any(|text| text.contains("was copied")), "{told:?}");
    Seen::in_log(&answer).assert_is(&place.usual, "a copied source", &["mounts"]);
}
