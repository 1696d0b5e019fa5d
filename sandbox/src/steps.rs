//! Running the steps inside the finished jail, as its first process.

use std::{
    collections::BTreeMap,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::{Access, access},
    io::{Errno, retry_on_intr, write},
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, wait},
    stdio::stderr,
};

use crate::{Outcome, Step};

/// Which process group a step runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Its own: a step that signals its group does not mean us.
    Own,
    /// Ours, which the terminal reads from. A terminal's interrupt does not reach a first process.
    Ours,
}

/// Runs a step and kills everything it leaves; `None` when it succeeded.
pub(crate) fn run(
    index: usize,
    step: &Step,
    env: &BTreeMap<String, String>,
    group: Group,
) -> Result<Option<Outcome>, Errno> {
    let child = match spawn(step, env, group) {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            say(&format!("kbs: cannot run {:?} in {}: {error}\n", step.argv[0], step.cwd));
            return Ok(Some(Outcome::Failed { step: index, code }));
        }
    };
    let status = wait_for(child)?;
    kill_the_rest()?;
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(Outcome::Failed { step: index, code }),
        (None, signal) => Some(Outcome::Signaled { step: index, signal: signal.unwrap_or(0) }),
    })
}

fn spawn(step: &Step, env: &BTreeMap<String, String>, group: Group) -> io::Result<Pid> {
    let Step { argv, cwd } = step;
    let program = find(&argv[0], cwd.as_path(), env.get("PATH").map_or("", String::as_str))?;
    let mut command = Command::new(program);
    command.arg0(&argv[0]).args(&argv[1..]).env_clear().envs(env).current_dir(cwd.as_path());
    if group == Group::Own {
        command.process_group(0);
    }
    let child = command.spawn()?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Finds a program as a shell would.
fn find(program: &str, cwd: &Path, path: &str) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(cwd.join(program));
    }
    path.split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| cwd.join(dir).join(program))
        .find(|candidate| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not found in PATH"))
}

/// Waits for `child`, and for the orphans that end before it.
fn wait_for(child: Pid) -> Result<WaitStatus, Errno> {
    loop {
        if let Some((pid, status)) = retry_on_intr(|| wait(WaitOptions::empty()))?
            && pid == child
        {
            return Ok(status);
        }
    }
}

/// Kills and reaps every process of the jail but this one. The kernel sends the signal to all of
/// them while none can fork, so none escapes.
fn kill_the_rest() -> Result<(), Errno> {
    // Anywhere else the next call would be a disaster.
    if getpid() != Pid::INIT {
        return Err(Errno::PERM);
    }
    // The "group" of process 1 stands for every process but the caller.
    match kill_process_group(Pid::INIT, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno),
    }
    loop {
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Writes to the log; a log that cannot be written to is the reader's business.
fn say(text: &str) {
    let _result = write(stderr(), text.as_bytes());
}
