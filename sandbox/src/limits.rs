//! What one jail may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one jail may use. None of it may change a byte of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from start to end; then everything in the jail is killed.
    pub wall: Option<Duration>,
    /// Bytes that all writable directories may hold together. With
    /// [`Scratch::Directory`](crate::Scratch) it is only the most that one file may hold.
    pub scratch_b: u64,
    /// Open files per process; lowered to the caller's own hard limit.
    pub open_files: u64,
    /// Processes and threads of the jail. The kernel does not enforce it when the caller is root.
    pub pids: Option<u64>,
    /// Bytes of private writable memory of one process.
    pub memory_b: Option<u64>,
}

impl Default for Limits {
    /// No time limit, 4 GiB of scratch, 1024 files, no limit on processes and memory.
    fn default() -> Self {
        Self { wall: None, scratch_b: 4 << 30, open_files: 1024, pids: None, memory_b: None }
    }
}
