//! What a build may use. Never part of a key.

use serde::{Deserialize, Serialize};

use crate::quantity::{ByteSize, Span};

/// Limits a spec or the daemon's configuration sets; `None` leaves the choice to the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Longest run of all build commands together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Span>,
    /// Room for everything the build writes, its outputs included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<ByteSize>,
    /// Largest log; the rest is dropped and the log says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<ByteSize>,
    /// Largest sum of all artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ByteSize>,
    /// Open files per process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Jobs that make runs at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
}

impl Limits {
    /// These limits, with `fallback` where they say nothing.
    #[must_use]
    pub fn or(self, fallback: &Self) -> Self {
        let Self { wall, scratch, log, output, open_files, jobs } = self;
        Self {
            wall: wall.or(fallback.wall),
            scratch: scratch.or(fallback.scratch),
            log: log.or(fallback.log),
            output: output.or(fallback.output),
            open_files: open_files.or(fallback.open_files),
            jobs: jobs.or(fallback.jobs),
        }
    }
}
