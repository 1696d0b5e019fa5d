//! Another jail of the same user, which runs meanwhile.

use std::{fs, os::fd::OwnedFd};

use kbs_sandbox::Job;

use crate::kit::{Kit, first_line, pid_of, step};

pub(crate) struct Neighbour {
    job: Job,
    _log: OwnedFd,
}

impl Neighbour {
    /// Starts a jail with a secret in its files, its arguments and its environment.
    pub(crate) fn start(kit: &Kit) -> Self {
        let mut spec = kit.spec("");
        spec.env.insert("SECRET".to_owned(), "secret".to_owned());
        let script = "echo secret > /tmp/secret; echo ready; read wait; sleep 600; : secret";
        spec.steps = vec![step(&["sh", "-c", script])];
        let (job, log) = kit.start(&spec);
        assert_eq!(first_line(&log), "ready");
        Self { job, _log: log }
    }

    /// The number on the host of a process in it that is not its first one.
    pub(crate) fn pid(&self) -> u32 {
        let first = pid_of(&self.job);
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        children.split_ascii_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.job.kill();
    }
}
