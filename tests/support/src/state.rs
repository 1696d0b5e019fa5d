//! A state directory for one test, and the end of the daemon that ran in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Paths of unix sockets end at 107 bytes; a state directory must leave room for its socket.
const LONGEST_PARENT: usize = 60;

/// How long files may go on appearing after the daemon was told to stop.
const SETTLE: Duration = Duration::from_secs(5);

/// A directory for `$KBS_STATE`, mode 0700, with a short name.
///
/// Dropping it stops a daemon that was started for it and removes the directory, unreadable
/// directories included.
#[derive(Debug)]
pub struct TempState {
    dir: Option<TempDir>,
    kbs: PathBuf,
}

impl TempState {
    /// Makes the directory; `kbs` is the binary that can stop a daemon in it.
    pub fn new(kbs: impl Into<PathBuf>) -> Self {
        let base = std::env::temp_dir();
        let base =
            if base.as_os_str().len() <= LONGEST_PARENT { base } else { PathBuf::from("/tmp") };
        let dir = tempfile::Builder::new()
            .prefix("kbs-state-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(base)
            .expect("the temporary directory is writable");
        Self { dir: Some(dir), kbs: kbs.into() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("only dropping takes the directory").path()
    }

    /// A `kbs` command line for this state, without arguments yet; a daemon that it starts has no
    /// configuration.
    pub fn kbs(&self) -> Command {
        let mut command = Command::new(&self.kbs);
        command
            .env("KBS_STATE", self.path())
            .env("KBS_CONFIG", "/dev/null")
            .env_remove("KBS_SOCKET")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for TempState {
    fn drop(&mut self) {
        // Without a socket there is no daemon; a `kbs` that cannot even start leaves none either.
        if self.path().join("kbsd.sock").exists() {
            drop(
                self.kbs()
                    .args(["daemon", "stop", "--force"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status(),
            );
        }
        let Some(dir) = self.dir.take() else { return };
        let path = dir.keep();
        let until = Instant::now() + SETTLE;
        while let Err(error) = remove(&path) {
            if Instant::now() > until {
                // A panic here would hide the one that ended the test.
                drop(std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("left behind: {}: {error}\n", path.display()).as_bytes(),
                ));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            open_up(path)?;
            std::fs::remove_dir_all(path)
        }
    }
}

/// Gives the owner every right on every directory; follows no links.
fn open_up(path: &Path) -> std::io::Result<()> {
    if !std::fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(path)? {
        open_up(&entry?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_leaves_room_for_a_socket() {
        let state = TempState::new("/nonexistent/kbs");
        let mode = std::fs::metadata(state.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(state.path().join("kbsd.sock").as_os_str().len() < 108);
    }

    #[test]
    fn unreadable_directories_go_too() {
        let state = TempState::new("/nonexistent/kbs");
        let path = state.path().to_owned();
        let inner = path.join("scratch/work/work");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("file"), "x").unwrap();
        for dir in [&inner, &path.join("scratch/work")] {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        drop(state);
        assert!(!path.exists());
    }

    #[test]
    fn a_daemon_is_stopped_before_its_files_go() {
        let tools = tempfile::tempdir().unwrap();
        let [text, kbs, told] = ["text", "kbs", "told"].map(|name| tools.path().join(name));
        let script = "#!/bin/sh\n[ -d \"$KBS_STATE\" ] && echo \"$@\" >\"${0%/*}/told\"\n";
        std::fs::write(&text, script).unwrap();
        // Written by another process: a program that this one has open for writing cannot be run.
        let installed =
            Command::new("install").args(["-m", "755"]).args([&text, &kbs]).status().unwrap();
        assert!(installed.success());
        let state = TempState::new(&kbs);
        std::fs::write(state.path().join("kbsd.sock"), "").unwrap();
        drop(state);
        assert_eq!(std::fs::read_to_string(told).unwrap(), "daemon stop --force\n");
    }
}
