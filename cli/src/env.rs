//! The environment, read once and nowhere else.

use std::env::var_os;
use std::path::PathBuf;

/// The variables that kbs looks at; an empty one is as good as none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env {
    /// `KBS_STATE`: a state directory.
    pub(crate) state: Option<PathBuf>,
    /// `KBS_SOCKET`: a daemon's socket.
    pub(crate) socket: Option<PathBuf>,
    /// `KBS_CONFIG`: the configuration file of a daemon that is started.
    pub(crate) config: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, or what stands for it below `HOME`.
    pub(crate) config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, or what stands for it below `HOME`.
    pub(crate) state_home: Option<PathBuf>,
    /// `NO_COLOR` is set.
    pub(crate) no_color: bool,
    /// `TERM` says that the terminal cannot move its cursor.
    pub(crate) dumb_terminal: bool,
    /// `TERM`: the kind of terminal.
    pub(crate) terminal_kind: Option<String>,
}

impl Env {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        let filled = |name| var_os(name).filter(|value| !value.is_empty());
        let path = |name| filled(name).map(PathBuf::from);
        // The base directory specification ignores relative paths.
        let absolute = |name| path(name).filter(|path| path.is_absolute());
        let below_home = |dir| absolute("HOME").map(|home| home.join(dir));
        Self {
            state: path("KBS_STATE"),
            socket: path("KBS_SOCKET"),
            config: path("KBS_CONFIG"),
            config_home: absolute("XDG_CONFIG_HOME").or_else(|| below_home(".config")),
            state_home: absolute("XDG_STATE_HOME").or_else(|| below_home(".local/state")),
            no_color: filled("NO_COLOR").is_some(),
            dumb_terminal: filled("TERM").is_none_or(|term| term == "dumb"),
            terminal_kind: filled("TERM").and_then(|term| term.into_string().ok()),
        }
    }
}
