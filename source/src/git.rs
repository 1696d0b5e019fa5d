//! The `git` program: how it is started, watched, and what it said when it failed.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::lock::StoreLock;
use crate::url::SourceUrl;

/// Lines of an error message that are kept.
const LINES_KEPT: usize = 12;
/// Longest line that is kept, in bytes.
const LINE_MAX_B: usize = 500;

/// `git` did not do its work.
#[derive(Debug)]
pub struct GitFailure {
    status: Option<ExitStatus>,
    lines: Vec<String>,
    cause: Option<std::io::Error>,
}

impl GitFailure {
    /// The last lines it wrote, progress left out and control characters removed.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Whether `git` could not even be started.
    pub(crate) fn is_missing(&self) -> bool {
        self.cause.as_ref().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }
}

impl fmt::Display for GitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "git ended with {status}")?,
            None => f.write_str("git could not be run")?,
        }
        if !self.lines.is_empty() {
            write!(f, ": {}", self.lines.join("; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for GitFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|error| error as _)
    }
}

impl From<std::io::Error> for GitFailure {
    fn from(error: std::io::Error) -> Self {
        Self { status: None, lines: Vec::new(), cause: Some(error) }
    }
}

/// `git` on the bare repository `dir`, deaf to everything outside of it.
fn command(dir: &Path) -> Command {
    let mut git = Command::new("git");
    // Removed by their prefix, not by a list: any of them can redirect what git reads or runs.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    git.env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        // Empty, and therefore also instead of SSH_ASKPASS: nobody is there to be asked.
        .env("GIT_ASKPASS", "")
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=30")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("LC_ALL", "C")
        .env_remove("LANGUAGE")
        .current_dir(dir)
        .arg("--git-dir=.");
    for setting in [
        "core.hooksPath=/dev/null",
        "core.fsync=all",
        "credential.helper=",
        "fetch.recurseSubmodules=false",
        "fetch.writeCommitGraph=true",
        "gc.auto=0",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
        "maintenance.auto=false",
        "transfer.bundleURI=false",
        // Small fetches are kept as packs too: thousands of loose objects are slow to search.
        "transfer.unpackLimit=1",
    ] {
        git.arg("-c").arg(setting);
    }
    git
}

/// Fetches `refspecs` from `url`; `prune` also deletes refs in their places that the remote lacks.
pub(crate) fn fetch(
    lock: &StoreLock,
    dir: &Path,
    url: &SourceUrl,
    (refspecs, prune): (&[String], Prune),
    progress: &mut dyn FnMut(&str),
) -> Result<(), GitFailure> {
    let mut git = command(dir);
    git.env("GIT_ALLOW_PROTOCOL", url.allowed_protocols())
        // The URL may hold a password, and every user of the machine can read command lines.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "remote.source.url")
        .env("GIT_CONFIG_VALUE_0", url.with_secrets())
        .args(["fetch", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
        .args(["--no-recurse-submodules", "--progress"]);
    if prune == Prune::Yes {
        git.arg("--prune");
    }
    if url.local_path().is_some() {
        // git refuses repositories of other users, lest their configuration be obeyed unawares. The
        // person named this one, its configuration decides nothing for `upload-pack` but what is
        // offered, and the setting is heard only here: fetch does not hand its own to the other end.
        git.arg("--upload-pack=git -c safe.directory=* upload-pack");
    }
    git.args(["--end-of-options", "source"]).args(refspecs);
    watch(git, lock, url.secret(), progress)
}

/// Whether a fetch deletes refs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prune {
    Yes,
    No,
}

/// Runs one of git's own chores on the repository.
pub(crate) fn chore(lock: &StoreLock, dir: &Path, arguments: &[&str]) -> Result<(), GitFailure> {
    let mut git = command(dir);
    git.args(arguments);
    watch(git, lock, None, &mut |_| {})
}

/// Runs a command to its end, handing on each line it writes to standard error.
fn watch(
    mut git: Command,
    lock: &StoreLock,
    secret: Option<&str>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), GitFailure> {
    git.stdin(lock.as_stdin()?).stdout(Stdio::null()).stderr(Stdio::piped());
    tracing::debug!(command = ?git.get_args().collect::<Vec<_>>(), "running git");
    let mut child = git.spawn()?;
    let stderr = child.stderr.take().expect("stderr is piped two lines above");
    let mut kept = VecDeque::new();
    let read = each_line(stderr, |line, passing| {
        let line = match secret {
            Some(secret) => line.replace(secret, "***"),
            None => line.to_owned(),
        };
        progress(&line);
        if !passing {
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    });
    let status = child.wait()?;
    read?;
    if status.success() {
        return Ok(());
    }
    Err(GitFailure { status: Some(status), lines: kept.into(), cause: None })
}

/// Calls `line` with each line, and whether a later one overwrites it on a terminal.
fn each_line(from: impl Read, mut line: impl FnMut(&str, bool)) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut end = |text: &mut Vec<u8>, passing| {
        let clean: String =
            String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect();
        if !clean.trim().is_empty() {
            line(clean.trim_end(), passing);
        }
        text.clear();
    };
    for byte in BufReader::new(from).bytes() {
        match byte? {
            b'\n' => end(&mut text, false),
            b'\r' => end(&mut text, true),
            byte if text.len() < LINE_MAX_B => text.push(byte),
            _ => {}
        }
    }
    end(&mut text, false);
    Ok(())
}

/// Names every object reachable from `wanted` and not from `excluded`, tips included.
///
/// Both are given on standard input, one hex name a line.
pub(crate) fn list_objects(
    dir: &Path,
    wanted: &[String],
    excluded: &[String],
    mut each: impl FnMut(&str),
) -> Result<(), GitFailure> {
    let mut child = command(dir)
        .args(["rev-list", "--objects", "--no-object-names", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut tips = wanted.join("\n");
    for tip in excluded {
        tips.push_str("\n^");
        tips.push_str(tip);
    }
    tips.push('\n');
    let fed = child.stdin.take().expect("stdin is piped above").write_all(tips.as_bytes());
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped above"));
    let listed = stdout.lines().try_for_each(|line| line.map(|line| each(&line)));
    let status = child.wait()?;
    if !status.success() {
        return Err(GitFailure { status: Some(status), lines: Vec::new(), cause: None });
    }
    fed?;
    Ok(listed?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_part_at_carriage_returns_and_lose_escape_sequences() {
        let mut lines = Vec::new();
        each_line(
            &b"Receiving 1%\rReceiving 2%\r\n\x1b[31mfatal\x1b[0m: x\nlast"[..],
            |line, passing| {
                lines.push((line.to_owned(), passing));
            },
        )
        .unwrap();
        let expected = [
            ("Receiving 1%", true),
            ("Receiving 2%", true),
            ("[31mfatal[0m: x", false),
            ("last", false),
        ];
        assert_eq!(lines, expected.map(|(line, passing)| (line.to_owned(), passing)));
    }
}
