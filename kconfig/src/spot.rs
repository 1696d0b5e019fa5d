//! Positions in Kconfig files.

use std::fmt;
use std::sync::Arc;

use crate::ids::FileId;

/// A position, small enough to keep for everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: FileId,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Counted from 1, in bytes.
    pub(crate) column: u32,
}

/// A position to show: prints as `src/Kconfig:12:5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Path of the file, relative to the root of the tree.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1 in bytes.
    pub column: u32,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{file}:{line}:{column}")
    }
}
