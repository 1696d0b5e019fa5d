//! An error of any room on its way to the one who asked.

use std::fmt;
use std::sync::Arc;

use kbs_kconfig::LoadError;
use kbs_plan::error::{Class, Help};

/// An error of any room, with its class and help kept; cheap to hand to everybody who waits.
#[derive(Clone)]
pub struct Problem(Arc<dyn Help + Send + Sync>);

impl Problem {
    /// The error.
    pub fn as_help(&self) -> &(dyn Help + Send + Sync) {
        &*self.0
    }

    /// Who can fix it.
    pub fn class(&self) -> Class {
        self.0.class()
    }
}

impl<E: Help + Send + Sync + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// Deliberately without `Help`: that is what makes the conversion above possible.
impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// What the engine itself refuses or cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EngineError {
    /// Nobody waits any more.
    #[error("the request was withdrawn")]
    Withdrawn,
    /// The daemon is leaving.
    #[error("the daemon is stopping and takes no new work")]
    Stopping,
    /// The configuration cannot be read.
    #[error("the configuration cannot be used")]
    Config {
        /// Why.
        source: kbs_kconfig::ReadError,
    },
    /// A symbol or pattern of the spec or recipe is not one.
    #[error("the configuration names what cannot be a symbol")]
    Symbol {
        /// Why.
        source: kbs_kconfig::NameError,
    },
    /// A named configuration is not in the tree.
    #[error("there is no defconfig `{name}` at {commit}")]
    Defconfig {
        /// As asked.
        name: String,
        /// The commit.
        commit: String,
        /// What is there.
        help: String,
    },
    /// Normalising would build for another device than asked.
    #[error("the configuration means another device at {version}\n{changes}")]
    Drift {
        /// The version that was asked for.
        version: String,
        /// One line per symbol, both values.
        changes: String,
        /// What may have been meant.
        help: String,
    },
    /// The project's Kconfig files cannot be used.
    #[error("the Kconfig files of {project} cannot be used")]
    Kconfig {
        /// The recipe.
        project: String,
        /// Whether the recipe has commands that configure instead.
        has_tool: bool,
        /// What is wrong, with file and line.
        source: LoadError,
    },
    /// The project's configure step failed.
    #[error("configuring {project} {how}\n{tail}")]
    Configure {
        /// The recipe.
        project: String,
        /// How it ended.
        how: String,
        /// The last lines it printed.
        tail: String,
    },
    /// The configure step left no configuration, or one that cannot be read.
    #[error("configuring {project} left no usable .config")]
    NoConfiguration {
        /// The recipe.
        project: String,
        /// Why.
        source: std::io::Error,
    },
    /// A jail could not be started.
    #[error("the sandbox could not be started")]
    Sandbox {
        /// Why.
        source: kbs_sandbox::SandboxError,
    },
    /// The kernel refused a layer of the jail, so nothing was run.
    #[error(
        "the build was refused: this host cannot give its sandbox\n{failure}{}",
        listed(missing)
    )]
    Refused {
        /// Which step.
        failure: kbs_sandbox::SetupFailure,
        /// What this host lacks of what is required.
        missing: Vec<kbs_sandbox::Layer>,
    },
    /// Something that the caller named is not there.
    #[error("{text}")]
    NotFound {
        /// What is not where.
        text: String,
        /// What to do.
        help: Option<String>,
    },
    /// Something in the store is not what it was.
    #[error("{text}")]
    Damaged {
        /// What, and what is wrong with it.
        text: String,
        /// What to do.
        help: String,
    },
    /// The request contradicts itself or the daemon's state.
    #[error("{text}")]
    Request {
        /// What is wrong.
        text: String,
        /// What to do.
        help: Option<String>,
    },
    /// A file of the host.
    #[error("cannot {action} {}", path.display())]
    Host {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A part of the daemon ended without an answer.
    #[error("the daemon lost {what}")]
    Lost {
        /// Which part.
        what: &'static str,
    },
}

/// A line for each layer that is missing.
fn listed(missing: &[kbs_sandbox::Layer]) -> String {
    let line = |layer: &kbs_sandbox::Layer| format!("\nmissing: {}: {}", layer.name, layer.why);
    missing.iter().map(line).collect::<Vec<_>>().concat()
}

impl Help for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::Withdrawn => Class::Cancelled,
            Self::Config { .. }
            | Self::Symbol { .. }
            | Self::Drift { .. }
            | Self::Request { .. } => Class::User,
            Self::Defconfig { .. } | Self::NotFound { .. } => Class::NotFound,
            Self::Kconfig { source, .. } => match source {
                LoadError::Missing { at: None, .. } | LoadError::Shell { .. } => Class::User,
                LoadError::Read { source, .. } => {
                    source.downcast_ref::<Problem>().map_or(Class::Environment, Problem::class)
                }
                _ => Class::Build,
            },
            Self::Configure { .. } | Self::NoConfiguration { .. } => Class::Build,
            Self::Sandbox { source } if source.is_request() => Class::Bug,
            Self::Stopping
            | Self::Sandbox { .. }
            | Self::Refused { .. }
            | Self::Damaged { .. }
            | Self::Host { .. } => Class::Environment,
            Self::Lost { .. } => Class::Bug,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Config { source } => source.help(),
            Self::Symbol { source } => source.help(),
            Self::Defconfig { help, .. }
            | Self::Drift { help, .. }
            | Self::Damaged { help, .. } => Some(help.clone()),
            Self::Kconfig { source, has_tool, .. } => {
                let tool = "let the project's own tool normalise the configuration: \
                            [recipe.kconfig] configure = \"project\"";
                let own = source.help().filter(|_| !matches!(source, LoadError::Shell { .. }));
                let tool = has_tool.then(|| tool.to_owned());
                let help: Vec<_> = own.into_iter().chain(tool).collect();
                (!help.is_empty()).then(|| help.join("; or "))
            }
            Self::Sandbox { source } => source.help(),
            Self::Refused { failure, missing } => failure
                .help
                .clone()
                .or_else(|| {
                    let layer = missing.first()?;
                    Some(format!("{}: {}", layer.matters, layer.fix.as_deref()?))
                })
                .or_else(|| Some("run `kbs doctor` to see what is missing".to_owned())),
            Self::NotFound { help, .. } | Self::Request { help, .. } => help.clone(),
            Self::Configure { .. } => {
                Some("check the configuration against this version of the project".to_owned())
            }
            Self::Stopping => Some("ask again; a new daemon will start".to_owned()),
            Self::Lost { .. } => Some("ask again, and report it if it happens twice".to_owned()),
            Self::Withdrawn | Self::NoConfiguration { .. } | Self::Host { .. } => None,
        }
    }
}
