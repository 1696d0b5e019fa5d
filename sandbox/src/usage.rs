//! What a jail uses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a jail used, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode of all its processes.
    pub user: Duration,
    /// CPU time in the kernel of all its processes.
    pub system: Duration,
    /// The most memory in bytes that was seen: of all processes together at one of the samples, or of
    /// the largest process at any time.
    pub memory_peak_b: u64,
    /// The most processes and threads seen at one of the samples.
    pub pids_peak: u64,
    /// The most bytes of scratch seen at one of the samples, or left at the end.
    pub scratch_peak_b: u64,
    /// The most files of scratch seen at one of the samples, or left at the end.
    pub scratch_files_peak: u64,
    /// Who counted.
    pub accounting: Accounting,
}

/// Who counts what a jail uses, and stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounting {
    /// The kernel, in a control group (cgroup v2) of the jail.
    Cgroup,
    /// The helper, which looks at all processes of the jail again and again; resource limits bound
    /// what happens between two looks.
    #[default]
    Sampled,
}

/// What a jail holds at one instant, and the CPU time it has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Time since the jail's start.
    pub at: Duration,
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Bytes of memory that the kernel could not take back, scratch excepted.
    pub memory_b: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes of scratch.
    pub scratch_b: u64,
    /// Files and directories of scratch.
    pub scratch_files: u64,
}
