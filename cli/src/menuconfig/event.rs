//! What the machine hears, and what it asks for.

use std::path::PathBuf;

use ratatui::crossterm::event::{KeyEvent, MouseEvent};

/// What the machine hears.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A key.
    Key(KeyEvent),
    /// Text that was pasted.
    Paste(String),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// A file was written, or why not.
    Written(Writing, Result<(), String>),
    /// A file was read, or why not.
    Read(PathBuf, Result<String, String>),
    /// This configuration was looked up; `None` where nothing is known of its build.
    LookedUp(String, Option<Build>),
}

/// Where the build of a configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// In the store.
    Cached,
    /// Nowhere yet.
    Open,
}

/// What is to be written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writing {
    /// Where.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) what: What,
    /// What to do when it is done.
    pub(crate) then: Then,
}

/// What a written file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The whole configuration.
    Whole,
    /// Only what does not follow by itself.
    Minimal,
}

/// What follows when a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The menu goes on.
    Stay,
    /// The menu ends.
    Leave,
}

/// What the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write this text.
    Write(Writing, String),
    /// Read this file.
    Read(PathBuf),
    /// Give the terminal back and stop until somebody goes on.
    Suspend,
    /// Draw everything, whatever is on the screen.
    Redraw,
    /// The end.
    Leave,
}
