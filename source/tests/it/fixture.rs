//! Small repositories made by the `git` program, the same every time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kbs_source::{CommitId, Existing, Mirror, ProjectName, SourceUrl, Synced};

/// Runs git in `dir` and returns what it prints, the last newline removed.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    git_at(dir, 1_700_000_000, arguments)
}

/// As [`git`], at a time of its own.
pub(crate) fn git_at(dir: &Path, time_s: i64, arguments: &[&str]) -> String {
    let output = command(dir, time_s).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// As [`git`], fed with `input`.
pub(crate) fn git_fed(dir: &Path, input: &[u8], arguments: &[&str]) -> String {
    let mut child = command(dir, 1_700_000_000)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn command(dir: &Path, time_s: i64) -> Command {
    let date = format!("@{time_s} +0000");
    let mut git = Command::new("git");
    git.current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
        .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
        .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"]);
    git
}

/// One commit on `main` in the language of `git fast-import`; `from` names its parent where that
/// is not the commit before it in the same stream.
pub(crate) fn imported_commit(number: i64, from: &str, files: &[(String, String)]) -> String {
    let time_s = 1_700_000_000 + number;
    let mut text = format!(
        "commit refs/heads/main\ncommitter a <a@example.org> {time_s} +0000\ndata 0\n{from}"
    );
    for (path, bytes) in files {
        write!(text, "M 100644 inline {path}\ndata {}\n{bytes}\n", bytes.len()).unwrap();
    }
    text
}

/// A directory that holds repositories and a source store.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub(crate) mirror: Mirror,
}

/// A repository with a work tree, on branch `main`.
pub(crate) struct Repo {
    pub(crate) dir: PathBuf,
    time_s: std::cell::Cell<i64>,
}

pub(crate) fn project(name: &str) -> ProjectName {
    ProjectName::new(name).unwrap()
}

pub(crate) fn url(path: &Path) -> SourceUrl {
    SourceUrl::new(path.to_str().unwrap()).unwrap()
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mirror = Mirror::open_or_init(&dir.path().join("state/git")).unwrap();
        Self { dir, mirror }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store's own directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("state/git")
    }

    pub(crate) fn repo(&self, name: &str) -> Repo {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main"]);
        Repo { dir, time_s: std::cell::Cell::new(1_700_000_000) }
    }

    pub(crate) fn add(&self, name: &str, repo: &Repo) {
        self.mirror.add(&project(name), &url(&repo.dir), Existing::Keep).unwrap();
    }

    pub(crate) fn sync(&self, name: &str) -> Synced {
        self.mirror.sync(&project(name), 1_700_000_000, &mut |_| {}).unwrap()
    }

    /// Adds and syncs.
    pub(crate) fn take(&self, name: &str, repo: &Repo) {
        self.add(name, repo);
        self.sync(name);
    }

    /// Every ref of the store and the commit or object it names, as git lists them.
    pub(crate) fn refs_on_disk(&self) -> Vec<String> {
        let listed = git(&self.store(), &["for-each-ref", "--format=%(refname)"]);
        listed.lines().map(str::to_owned).collect()
    }
}

impl Repo {
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.dir, arguments)
    }

    /// Writes files and commits them, an hour after the commit before.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let path = self.dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.time_s.set(self.time_s.get() + 3600);
        git_at(&self.dir, self.time_s.get(), &["commit", "-q", "--allow-empty", "-m", "x"]);
        self.head()
    }

    pub(crate) fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// An annotated tag of HEAD.
    pub(crate) fn annotate(&self, name: &str, time_s: i64) {
        git_at(&self.dir, time_s, &["tag", "-a", "-m", "x", name]);
    }
}

/// Numbers that look random and are the same on every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
