//! A state directory, the specs of one test, and what `kbs` answers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kbs_testkit::{FxSpec, Repo, TempState};
use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// Longest wait for anything; a machine under load is slow, a hang is endless.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test.
pub(crate) const KBS: &str = env!("CARGO_BIN_EXE_kbs");

/// A state directory with everything around it that one test needs.
pub(crate) struct Lab {
    state: TempState,
    dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kbs-e2e-").tempdir();
        Self { state: TempState::new(KBS), dir: dir.expect("the temporary directory is writable") }
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// A directory for files of the test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A `kbs` command line for this state.
    pub(crate) fn kbs(&self) -> Command {
        self.state.kbs()
    }

    /// Runs `kbs` to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Answer {
        answer(self.kbs().args(args))
    }

    /// Runs `kbs realize` on a spec.
    pub(crate) fn realize(&self, spec: &FxSpec, options: &[&str]) -> Answer {
        answer(self.kbs().arg("realize").arg(self.write(spec)).args(options))
    }

    /// Starts `kbs realize --json --log` on a spec.
    pub(crate) fn start(&self, spec: &FxSpec, options: &[&str]) -> Client {
        let path = self.write(spec);
        Client::start(self.kbs().arg("realize").arg(path).args(["--json", "--log"]).args(options))
    }

    /// Writes a spec as `spec.toml`, in one step: a client may be reading the one before.
    pub(crate) fn write(&self, spec: &FxSpec) -> PathBuf {
        let path = self.dir().join("spec.toml");
        let new = spec.write(self.dir(), "new");
        std::fs::rename(new, &path).expect("the directory is writable");
        path
    }

    /// Writes any text as a spec.
    pub(crate) fn write_text(&self, text: &str) -> PathBuf {
        let path = self.dir().join("text.toml");
        std::fs::write(&path, text).expect("the directory is writable");
        path
    }

    /// The pid of the daemon that answers.
    pub(crate) fn daemon_pid(&self) -> Pid {
        let status = self.run(["daemon", "status", "--json"]).done().json();
        let pid = status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("the status has a pid")
    }

    /// The outputs as `kbs ls` has them; with `--failed`, the failures.
    pub(crate) fn ls(&self, options: &[&str]) -> Vec<Value> {
        answer(self.kbs().args(["ls", "--json"]).args(options)).done().events()
    }

    /// What lies in the directory of things that the next start deletes.
    pub(crate) fn scratch(&self) -> Vec<String> {
        names(&self.state().join("scratch"))
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries =
        std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("the directory can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Reads a file as text.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Changes a file of a repository's work tree; commits nothing.
pub(crate) fn edit(repo: &Repo, path: &str, from: &str, to: &str) {
    let text = read(repo.path().join(path));
    assert!(text.contains(from), "`{from}` is not in {path}");
    repo.write(path, text.replace(from, to));
}

/// The project `fx` with more commands after its own, run by make's shell in `/build/src`.
pub(crate) fn fx_that_also(commands: &[&str]) -> Repo {
    let repo = kbs_testkit::fx();
    let lines: Vec<_> = commands.iter().map(|command| format!("\t@{command}\n")).collect();
    let lines = lines.concat();
    let makefile = read(repo.path().join("Makefile"));
    repo.write(
        "Makefile",
        format!("{makefile}\nall: also\nalso: out/fx.txt\n{lines}.PHONY: also\n"),
    );
    repo.commit("more commands");
    repo
}

/// A spec for `fx` whose image also holds `programs`.
pub(crate) fn with_programs(repo: &Repo, programs: &[&str]) -> FxSpec {
    let more: Vec<_> = programs.iter().map(|name| format!(", \"{name}\"")).collect();
    let more = more.concat();
    FxSpec::new(repo).edit("\"rm\"]", &format!("\"rm\"{more}]"))
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Exit status; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn answer(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Answer {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Answer {
    /// It was done.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.left(0)
    }

    /// It ended with this exit status.
    #[track_caller]
    pub(crate) fn left(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// It said all of this on stderr.
    #[track_caller]
    pub(crate) fn telling(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(self.err.contains(fragment), "`{fragment}` is not in {self}");
        }
        self
    }

    /// It said none of this, on neither stream.
    #[track_caller]
    pub(crate) fn not_telling(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            let both = [&self.out, &self.err];
            assert!(!both.iter().any(|text| text.contains(fragment)), "`{fragment}` in {self}");
        }
        self
    }

    /// The path that is all of stdout.
    #[track_caller]
    pub(crate) fn path(&self) -> PathBuf {
        let path = self.out.strip_suffix('\n').unwrap_or_default();
        assert!(path.starts_with('/') && !path.contains('\n'), "no path alone on stdout: {self}");
        PathBuf::from(path)
    }

    /// Every line of stdout as JSON.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("`{line}` is not JSON ({error}): {self}"))
        };
        self.out.lines().map(parse).collect()
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{self}");
        events.remove(0)
    }

    /// How a request for JSON ended with an output.
    #[track_caller]
    pub(crate) fn output(&self) -> Delivered {
        let events = self.events();
        let ended = events.iter().find(|event| event["event"] == "ended");
        let ended = ended.unwrap_or_else(|| panic!("nothing ended: {self}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let output = &ended["output"];
        assert!(output.is_object(), "it ended without an output: {self}");
        Delivered {
            key: text(&ended["key"]),
            tree: text(&output["tree"]),
            version: text(&output["version"]),
            path: text(&output["path"]).into(),
            built: output["built"].as_bool().unwrap_or_default(),
        }
    }

    /// Names of the phases that began.
    pub(crate) fn phases(&self) -> Vec<String> {
        let events = self.events();
        let began = events.iter().filter(|e| e["event"] == "phase" && e["took_ms"].is_null());
        began.map(|event| event["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The texts of the notices of one kind.
    pub(crate) fn notices(&self, kind: &str) -> Vec<String> {
        let events = self.events();
        let told = events.iter().filter(|e| e["event"] == "notice" && e["kind"] == kind);
        told.map(|event| event["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The lines of the build's log.
    pub(crate) fn log(&self) -> String {
        let events = self.events();
        let lines = events.iter().filter(|event| event["event"] == "log");
        let text = |event: &Value| event["line"].as_str().unwrap_or_default().to_owned() + "\n";
        lines.map(text).collect()
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, out, err } = self;
        write!(f, "exit status {code:?}\n--- stdout\n{out}\n--- stderr\n{err}")
    }
}

/// An output as `--json` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) key: String,
    pub(crate) tree: String,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
    pub(crate) built: bool,
}
