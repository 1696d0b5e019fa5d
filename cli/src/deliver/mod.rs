//! Handing an output to a person: a link, a copy, an archive.

pub(crate) mod copy;
pub(crate) mod fetch;
pub(crate) mod link;
pub(crate) mod zip;

use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};

/// An output was there and could not be handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    /// A file on this host.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something that is no link stands where the link should.
    #[error("cannot put the link at {}: something else is there", path.display())]
    NotALink {
        /// Where.
        path: PathBuf,
    },
    /// A directory of the copy is a link or a file in the target.
    #[error("cannot copy below {}: it is not a directory", path.display())]
    NotADirectory {
        /// Which.
        path: PathBuf,
    },
    /// The daemon sent what no output can hold.
    #[error("the daemon sent a bad output: {reason}")]
    Bad {
        /// What is wrong with it.
        reason: String,
    },
    /// An artifact has the name of one of the archive's own entries.
    #[error(
        "cannot make the archive: an artifact is called {name}, as is an entry of every archive"
    )]
    Taken {
        /// The name.
        name: String,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive {}", path.display())]
    Archive {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: ::zip::result::ZipError,
    },
}

impl Help for DeliverError {
    fn class(&self) -> Class {
        match self {
            Self::NotALink { .. } | Self::NotADirectory { .. } | Self::Taken { .. } => Class::User,
            Self::File { .. } | Self::Bad { .. } | Self::Archive { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotALink { .. } => Some("move it away, or give another --out-link".to_owned()),
            Self::NotADirectory { .. } => Some("give another --out".to_owned()),
            Self::Taken { .. } => Some("use --out instead of --zip".to_owned()),
            Self::Bad { .. } => Some("run `kbs realize --rebuild` to make it anew".to_owned()),
            Self::File { .. } | Self::Archive { .. } => None,
        }
    }
}

fn on<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> DeliverError + 'a {
    move |source| DeliverError::File { action, path: path.to_owned(), source }
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
