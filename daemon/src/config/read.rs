//! Finds and reads the configuration file.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};
use kbs_plan::quantity::Span;

use super::{Config, SAMPLE, file};

/// Where the machine's administrator says how daemons of this machine are to be.
const HOST_FILE: &str = "/etc/kbs/kbsd.toml";

/// No configuration is larger.
const TEXT_MAX_B: u64 = 1 << 20;

/// The configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says what no configuration says.
    #[error("cannot use the configuration file {}\n{detail}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// The line and what is allowed there, or the keys whose values no build can run with.
        detail: String,
    },
}

impl Help for ConfigError {
    fn class(&self) -> Class {
        match self {
            Self::Content { .. } => Class::User,
            Self::Read { source, .. } if source.kind() == ErrorKind::NotFound => Class::User,
            Self::Read { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
                Some("name a file that exists with --config or KBS_CONFIG, or none".to_owned())
            }
            Self::Read { .. } | Self::Content { .. } => None,
        }
    }
}

impl Config {
    /// The file to read where none is named: that of `user`, else that of the host, where it is
    /// there.
    pub fn usual_file(user: Option<&Path>) -> Option<PathBuf> {
        let own = user.filter(|path| path.symlink_metadata().is_ok());
        // What cannot even be looked at may hold a ceiling: reading it will say so.
        let is_absent = |error: std::io::Error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        };
        let host = || {
            let path = Path::new(HOST_FILE);
            (!path.symlink_metadata().is_err_and(is_absent)).then_some(path)
        };
        own.or_else(host).map(Path::to_owned)
    }

    /// A daemon for one state directory, as `file` says; all at its default where there is none.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that says what no configuration says shows the line.
    pub fn read(state_dir: &Path, file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Self::new(state_dir);
        let Some(given) = file else { return Ok(config) };
        let path = std::path::absolute(given).unwrap_or_else(|_| given.to_owned());
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let file::File { builds, idle_exit, sample, limits, ceiling, sandbox, gc } =
            match file::parse(&text) {
                Ok(file) => file,
                Err(detail) => return Err(ConfigError::Content { path, detail }),
            };
        let unusable = [limits.unusable("limits"), ceiling.unusable("ceiling")].concat();
        if !unusable.is_empty() {
            return Err(ConfigError::Content { path, detail: unusable.join("\n") });
        }
        config.file = Some(path);
        config.max_builds = builds.map(|file::Builds(builds)| builds.get());
        config.idle_exit = idle_exit.map(|Span(idle)| idle);
        config.sample = sample.map_or(SAMPLE, |file::Sample(sample)| sample);
        config.limits = limits;
        config.ceiling = ceiling;
        config.require = sandbox.require;
        config.upkeep = gc.upkeep();
        Ok(config)
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read_b = std::fs::File::open(path)?.take(TEXT_MAX_B + 1).read_to_string(&mut text)?;
    if read_b as u64 > TEXT_MAX_B {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use kbs_sandbox::Wall;

    use super::super::Upkeep;

    const STATE: &str = "/nonexistent/state";

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kbsd.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(Path::new(STATE), Some(&path))
    }

    #[test]
    fn what_a_file_says_is_what_the_daemon_does() {
        let text = "builds = 2\nidle-exit = '10m'\nsample = '500ms'\n[limits]\nmemory = '8GiB'\n\
                    [ceiling]\nwall = '6h'\n[sandbox]\nrequire = ['proc', 'filter']\n\
                    [gc]\nmax-size = '20G'\nolder-than = '90d'\nkeep = 3\nmin-free = 0\n";
        let config = read(text).unwrap();
        assert_eq!(config.builds(), 2);
        assert_eq!(config.idle_exit, Some(Duration::from_mins(10)));
        assert_eq!(config.sample, Duration::from_millis(500));
        assert_eq!(config.limits.memory.unwrap().0, 8 << 30);
        assert_eq!(config.ceiling.wall.unwrap().0, Duration::from_hours(6));
        assert_eq!(config.require, [Wall::Proc, Wall::Filter].into());
        let upkeep = Upkeep {
            max_size_b: Some(20 << 30),
            older_than: Some(Duration::from_hours(90 * 24)),
            keep: 3,
            min_free_b: 0,
        };
        assert_eq!(config.upkeep, upkeep);
        assert!(config.file.unwrap().ends_with("kbsd.toml"));
    }

    #[test]
    fn a_daemon_without_a_file_requires_every_layer() {
        let config = Config::read(Path::new(STATE), None).unwrap();
        assert_eq!(config.require, Wall::OPTIONAL.into());
        assert_eq!((config.file, config.sample), (None, Duration::from_secs(3)));
    }

    #[test]
    fn a_file_that_is_named_must_be_there_and_be_one() {
        let error = Config::read(Path::new(STATE), Some(Path::new("/nonexistent/k"))).unwrap_err();
        assert_eq!(error.class(), Class::User);
        assert!(error.to_string().contains("/nonexistent/k"), "{error}");
        for endless in ["/dev/zero", "/"] {
            let error = Config::read(Path::new(STATE), Some(Path::new(endless))).unwrap_err();
            assert_eq!(error.class(), Class::Environment, "{error}");
        }
        let error = read("[limits]\nwall = 'soon'").unwrap_err();
        assert_eq!(error.class(), Class::User);
        let told = error.to_string();
        assert!(told.contains("kbsd.toml\n") && told.contains("line 2"), "{told}");
    }

    #[test]
    fn a_file_whose_limits_let_no_build_run_is_refused_with_their_names() {
        let error = read("[limits]\nscratch = 0\nopen-files = 5\n[ceiling]\npids = 0").unwrap_err();
        assert_eq!(error.class(), Class::User);
        let told = error.to_string();
        for line in [
            "limits.scratch is 0, which lets no build run",
            "limits.open-files is 5, and no build runs with fewer than 32",
            "ceiling.pids is 0, which lets no build run",
        ] {
            assert!(told.contains("kbsd.toml\n") && told.lines().any(|it| it == line), "{told}");
        }
    }

    #[test]
    fn the_file_of_the_user_comes_before_that_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kbsd.toml");
        assert_ne!(Config::usual_file(Some(&path)).as_ref(), Some(&path));
        // A link that leads nowhere is no absence: reading it must fail.
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(Config::usual_file(Some(&path)), Some(path.clone()));
        assert!(Config::read(Path::new(STATE), Some(&path)).is_err());
    }
}
