//! What one jail may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one jail may use. None of it may change a byte of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from start to end.
    pub wall: Option<Duration>,
    /// Bytes that all writable directories may hold together.
    pub scratch_b: u64,
    /// Files and directories that the jail may make, all that exist at one time.
    pub scratch_files: u64,
    /// Open files per process; lowered to the caller's own hard limit.
    pub open_files: u64,
    /// Processes and threads that exist at one time.
    pub pids: Option<u64>,
    /// Bytes of memory that all processes may hold together. What the kernel could take back (the
    /// image's and source's pages) does not count, nor does the scratch.
    pub memory_b: Option<u64>,
}

impl Default for Limits {
    /// No time limit, 4 GiB and half a million files of scratch, 1024 open files, no limit on
    /// processes and memory.
    fn default() -> Self {
        Self {
            wall: None,
            scratch_b: 4 << 30,
            scratch_files: 500_000,
            open_files: 1024,
            pids: None,
            memory_b: None,
        }
    }
}

/// A limit that ends a jail when it is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// [`Limits::wall`].
    Wall,
    /// [`Limits::scratch_b`].
    Scratch,
    /// [`Limits::scratch_files`].
    ScratchFiles,
    /// [`Limits::pids`].
    Pids,
    /// [`Limits::memory_b`].
    Memory,
    /// The machine has almost no memory left: some of what a jail holds belongs to no process.
    HostMemory,
    /// The file system of a scratch on disk has almost no room left.
    HostDisk,
}
