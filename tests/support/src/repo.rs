//! Git repositories made for one test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

/// Seconds since 1970 of the first commit; each later one is a minute younger.
const FIRST_COMMIT_UNIX_S: u64 = 1_700_000_000;
const BETWEEN_COMMITS_S: u64 = 60;

/// A git repository with a work tree, in a directory of its own that goes when it is dropped.
///
/// Author, dates and configuration are fixed, so equal calls give equal commits on every machine.
/// Every method panics when git does.
#[derive(Debug)]
pub struct Repo {
    root: TempDir,
    next_commit_unix_s: AtomicU64,
}

impl Default for Repo {
    fn default() -> Self {
        Self::new()
    }
}

impl Repo {
    /// Makes an empty repository on the branch `main`.
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("kbs-repo-")
            .tempdir()
            .expect("the temporary directory is writable");
        let repo = Self { root, next_commit_unix_s: FIRST_COMMIT_UNIX_S.into() };
        repo.git(["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// The work tree; its `.git` is inside.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The work tree as text, as a spec or an argument needs it.
    pub fn url(&self) -> &str {
        self.path().to_str().expect("temporary directories have names of plain letters")
    }

    /// Writes a file of the work tree, directories included; commits nothing.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.make_parents(path);
        std::fs::write(&path, content).unwrap_or_else(|error| fail(&path, &error));
        self
    }

    /// Writes a file that may be executed.
    pub fn write_executable(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(path, content);
        let path = self.path().join(path);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap_or_else(|error| fail(&path, &error));
        self
    }

    /// Makes a symbolic link of the work tree; `target` is taken as it is.
    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        let path = self.make_parents(path);
        std::os::unix::fs::symlink(target, &path).unwrap_or_else(|error| fail(&path, &error));
        self
    }

    /// Copies everything below a directory of the machine into the work tree.
    pub fn copy_from(&self, dir: &Path) -> &Self {
        let copy = Command::new("cp").arg("-a").arg(dir.join(".")).arg(self.path()).status();
        assert!(copy.is_ok_and(|status| status.success()), "cannot copy {}", dir.display());
        self
    }

    /// Removes a file or a directory of the work tree.
    pub fn remove(&self, path: &str) -> &Self {
        self.git(["rm", "-r", "--quiet", "--force", "--", path]);
        self
    }

    /// Commits the work tree as it is, also when nothing changed, and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(["add", "--all"]);
        self.git(["commit", "--quiet", "--allow-empty", "-m", message]);
        self.next_commit_unix_s.fetch_add(BETWEEN_COMMITS_S, Ordering::Relaxed);
        self.head()
    }

    /// The commit that is checked out, 40 hex digits.
    pub fn head(&self) -> String {
        self.git(["rev-parse", "HEAD"])
    }

    /// Sets an annotated tag on the commit that is checked out.
    pub fn tag(&self, name: &str) -> &Self {
        self.git(["tag", "--force", "-m", name, "--", name]);
        self
    }

    /// Starts a branch at the commit that is checked out, and checks it out.
    pub fn branch(&self, name: &str) -> &Self {
        self.git(["checkout", "--quiet", "-b", name]);
        self
    }

    /// Checks out a branch, a tag or a commit.
    pub fn checkout(&self, rev: &str) -> &Self {
        self.git(["checkout", "--quiet", rev, "--"]);
        self
    }

    /// Adds another repository as a submodule at `path`; commits nothing.
    pub fn submodule(&self, path: &str, other: &Repo) -> &Self {
        self.git(["submodule", "--quiet", "add", "--", other.url(), path]);
        self
    }

    /// What `git describe --always --tags --long` prints.
    pub fn describe(&self) -> String {
        self.git(["describe", "--always", "--tags", "--long"])
    }

    /// Runs git in the work tree, and returns what it prints without the last line break.
    pub fn git<I, S>(&self, args: I) -> String
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let date = format!("{} +0000", self.next_commit_unix_s.load(Ordering::Relaxed));
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                git.env_remove(name);
            }
        }
        git.current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .env("GIT_AUTHOR_NAME", "A. Tester")
            .env("GIT_AUTHOR_EMAIL", "tester@example.invalid")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", "A. Tester")
            .env("GIT_COMMITTER_EMAIL", "tester@example.invalid")
            .env("GIT_COMMITTER_DATE", &date)
            .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"])
            .args(args);
        let output = git.output().expect("git is installed");
        assert!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    fn make_parents(&self, path: &str) -> PathBuf {
        let path = self.path().join(path);
        let parent = path.parent().expect("a joined path has a parent");
        std::fs::create_dir_all(parent).unwrap_or_else(|error| fail(parent, &error));
        path
    }
}

fn fail(path: &Path, error: &std::io::Error) -> ! {
    panic!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_commits() -> Repo {
        let repo = Repo::new();
        repo.write("a/b.txt", "one").commit("first");
        repo.tag("v1").write("a/b.txt", "two").symlink("link", "a/b.txt").commit("second");
        repo
    }

    #[test]
    fn equal_calls_give_equal_commits() {
        assert_eq!(two_commits().head(), two_commits().head());
    }

    #[test]
    fn tags_and_commits_are_described() {
        let repo = two_commits();
        assert!(repo.describe().starts_with("v1-1-g"), "{}", repo.describe());
        repo.branch("side").checkout("v1");
        assert!(repo.describe().starts_with("v1-0-g"), "{}", repo.describe());
    }

    #[test]
    fn a_submodule_is_recorded_with_its_commit() {
        let inner = two_commits();
        let outer = Repo::new();
        outer.submodule("lib/inner", &inner).commit("with inner");
        let entry = outer.git(["ls-tree", "HEAD", "lib/inner"]);
        assert_eq!(entry, format!("160000 commit {}\tlib/inner", inner.head()));
    }
}
