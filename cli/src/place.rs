//! Where to look for a daemon.

use std::path::PathBuf;

use kbs_plan::error::{Class, Help};

use crate::args::Global;
use crate::env::Env;

/// The name of a daemon's socket in its state directory.
pub(crate) const SOCKET_NAME: &str = "kbsd.sock";

/// The daemon that a machine's users share, where there is one.
const HOST_SOCKET: &str = "/run/kbs/kbsd.sock";

/// Where to look for a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// This socket and nothing else; nothing is started.
    Socket(PathBuf),
    /// The daemon of this state directory, after that of `shared` where it answers.
    State {
        /// A daemon that is preferred and never started.
        shared: Option<PathBuf>,
        /// The state directory, absolute.
        dir: PathBuf,
    },
    /// This process, over this state directory.
    Here(PathBuf),
}

/// Options and environment name no place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Neither options nor environment say where the state is.
    #[error("there is no state directory: HOME is not set")]
    NoHome,
    /// A path cannot be made absolute.
    #[error("cannot complete the path {}", path.display())]
    Path {
        /// As given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path cannot be told to a daemon.
    #[error("the path {} is not UTF-8", path.display())]
    Text {
        /// As given.
        path: PathBuf,
    },
}

impl Help for PlaceError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("give --state DIR".to_owned()),
            Self::Path { .. } | Self::Text { .. } => None,
        }
    }
}

impl Place {
    /// Chooses by options first, then by the environment, then by custom.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub(crate) fn choose(global: &Global, env: &Env) -> Result<Self, PlaceError> {
        if global.no_daemon {
            return Ok(Self::Here(state_dir(global, env)?));
        }
        let from_env = || env.socket.clone().filter(|_| global.state.is_none());
        if let Some(socket) = global.socket.clone().or_else(from_env) {
            return Ok(Self::Socket(absolute(socket)?));
        }
        let is_named = global.state.is_some() || env.state.is_some();
        Ok(Self::State {
            shared: (!is_named).then(|| PathBuf::from(HOST_SOCKET)),
            dir: state_dir(global, env)?,
        })
    }
}

/// The state directory, absolute, by options, environment and custom.
///
/// # Errors
/// [`PlaceError`].
pub(crate) fn state_dir(global: &Global, env: &Env) -> Result<PathBuf, PlaceError> {
    let named = global.state.clone().or_else(|| env.state.clone());
    let custom = || env.state_home.as_ref().map(|home| home.join("kbs"));
    absolute(named.or_else(custom).ok_or(PlaceError::NoHome)?)
}

/// The configuration file of a daemon that is started, absolute; `None` where there is none.
///
/// # Errors
/// [`PlaceError::Path`].
pub(crate) fn config_file(env: &Env) -> Result<Option<PathBuf>, PlaceError> {
    if let Some(named) = &env.config {
        return absolute(named.clone()).map(Some);
    }
    let user = env.config_home.as_ref().map(|home| home.join("kbs/kbsd.toml"));
    Ok(kbs_daemon::Config::usual_file(user.as_deref()))
}

/// A path as a daemon has to know it: absolute, for it has another directory, and as text.
///
/// # Errors
/// [`PlaceError::Path`], [`PlaceError::Text`].
pub(crate) fn absolute_text(path: PathBuf) -> Result<String, PlaceError> {
    absolute(path)?
        .into_os_string()
        .into_string()
        .map_err(|path| PlaceError::Text { path: path.into() })
}

fn absolute(path: PathBuf) -> Result<PathBuf, PlaceError> {
    std::path::absolute(&path).map_err(|source| PlaceError::Path { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn choose(args: &[&str], env: &Env) -> Place {
        let args = [&["kbs"], args, &["ls"]].concat();
        let args = crate::args::Args::try_parse_from(args).unwrap();
        Place::choose(&args.global, env).unwrap()
    }

    fn state(dir: &str) -> Place {
        Place::State { shared: None, dir: dir.into() }
    }

    #[test]
    fn options_win_over_the_environment_and_sockets_over_states() {
        let env = Env {
            state: Some("/env-state".into()),
            socket: Some("/env.sock".into()),
            ..Env::default()
        };
        assert_eq!(choose(&["--socket=/a", "--state=/b"], &env), Place::Socket("/a".into()));
        assert_eq!(choose(&["--state=/b"], &env), state("/b"));
        assert_eq!(choose(&[], &env), Place::Socket("/env.sock".into()));
        assert_eq!(choose(&["--no-daemon"], &env), Place::Here("/env-state".into()));
        let env = Env { socket: None, ..env };
        assert_eq!(choose(&[], &env), state("/env-state"));
    }

    #[test]
    fn a_configuration_that_is_named_wins_over_that_of_the_user() {
        let home = tempfile::tempdir().unwrap();
        let usual = home.path().join("kbs/kbsd.toml");
        std::fs::create_dir(home.path().join("kbs")).unwrap();
        std::fs::write(&usual, "").unwrap();
        let env = Env { config_home: Some(home.path().to_owned()), ..Env::default() };
        assert_eq!(config_file(&env).unwrap(), Some(usual));
        let env = Env { config: Some("/named".into()), ..env };
        assert_eq!(config_file(&env).unwrap(), Some("/named".into()));
    }

    #[test]
    fn the_daemon_of_the_host_comes_before_that_of_the_user() {
        let env = Env { state_home: Some("/home/me/.local/state".into()), ..Env::default() };
        let shared = Some(PathBuf::from(HOST_SOCKET));
        let dir = PathBuf::from("/home/me/.local/state/kbs");
        assert_eq!(choose(&[], &env), Place::State { shared, dir });
    }
}
