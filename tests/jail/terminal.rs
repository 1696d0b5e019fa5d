//! A jail on a terminal.

use std::{
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
    os::unix::fs::chown,
};

use kbs_sandbox::{Console, Wall};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{
    attempt::{Attempt, Verdict},
    kit::Kit,
};

/// Tries it with a terminal as its console.
pub(crate) fn on_a_terminal(kit: &Kit, attempt: &Attempt<'_>, without: &[Wall]) -> Verdict {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    chown(&name, Some(kit.uid()), None).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs: OwnedFd = open(&name, flags, Mode::empty()).unwrap();
    let job = kit.helper.run(&attempt.spec(without), Console::Terminal(theirs), |_| {}).unwrap();
    job.wait().unwrap();
    let mut log = vec![0; 4096];
    let size = File::from(ours).read(&mut log).unwrap();
    let log = String::from_utf8_lossy(&log[..size]).replace('\r', "");
    let _gone = fs::exists(&name);
    Verdict::read(&log).unwrap_or_else(|| panic!("no verdict without {without:?}: {log}"))
}
