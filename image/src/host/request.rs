//! What to take from the host, and why that may fail.

use std::io;
use std::path::PathBuf;

use kbs_plan::error::{Class, Help};
use kbs_plan::path::PathError;

use super::hints::debian_package;

/// The programs and packages that an image of the host shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRequest {
    /// Programs that must be there: a name, or an absolute path.
    pub programs: Vec<String>,
    /// Debian packages that must be there: `name` or `name:architecture`.
    pub packages: Vec<String>,
    /// Programs to take where they are there.
    pub optional_programs: Vec<String>,
    /// Packages to take where they are there.
    pub optional_packages: Vec<String>,
    /// Where to look for programs after the system's own directories: absolute.
    pub search: Vec<PathBuf>,
    /// The root directory of the host.
    pub root: PathBuf,
}

impl Default for HostRequest {
    fn default() -> Self {
        Self {
            programs: Vec::new(),
            packages: Vec::new(),
            optional_programs: Vec::new(),
            optional_packages: Vec::new(),
            search: Vec::new(),
            root: PathBuf::from("/"),
        }
    }
}

impl HostRequest {
    /// Everything that was asked for, for people.
    pub(crate) fn names(&self) -> Vec<&str> {
        let Self { programs, packages, optional_programs, optional_packages, search: _, root: _ } =
            self;
        let all = [programs, packages, optional_programs, optional_packages];
        all.into_iter().flatten().map(String::as_str).collect()
    }
}

/// The host's programs could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No such program.
    #[error("there is no program `{name}` on this host")]
    NoProgram {
        /// Its name as asked.
        name: String,
    },
    /// A script's interpreter is missing.
    #[error("`{program}` needs `{interpreter}`, which is not on this host")]
    NoInterpreter {
        /// The script.
        program: String,
        /// What it names in its first line.
        interpreter: String,
    },
    /// No such package.
    #[error("the package `{name}` is not installed on this host")]
    NoPackage {
        /// Its name as asked.
        name: String,
    },
    /// A library is missing.
    #[error("`{program}` needs the library `{library}`, which is in none of the usual places")]
    NoLibrary {
        /// The program or library that needs it.
        program: String,
        /// The library.
        library: String,
    },
    /// A path of the host cannot be in an image.
    #[error("cannot take a file of this name")]
    Name {
        /// The rule it breaks.
        #[from]
        source: PathError,
    },
    /// The image does not fit.
    #[error(
        "no space left to copy `/{path}` of this host to {}: the image needs {needed_b} bytes in all",
        place.display()
    )]
    NoSpace {
        /// The file, relative to the root.
        path: String,
        /// Where the image is put together.
        place: PathBuf,
        /// Bytes of all its files.
        needed_b: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of the host cannot be read or copied.
    #[error("cannot copy `/{path}` of this host")]
    File {
        /// The file, relative to the root.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Help for HostError {
    fn class(&self) -> Class {
        match self {
            Self::NoProgram { .. } | Self::NoPackage { .. } => Class::NotFound,
            _ => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoProgram { name } => Some(match debian_package(name) {
                Some(package) => format!("install it: `apt install {package}`"),
                None => "install it, or give its absolute path".to_owned(),
            }),
            Self::NoInterpreter { interpreter, .. } => {
                debian_package(interpreter).map(|package| format!("install it: `apt install {package}`"))
            }
            Self::NoPackage { name } => Some(format!("install it: `apt install {name}`")),
            Self::NoLibrary { .. } => {
                Some("give the program's directory to the linker with an rpath, or take it from a package".to_owned())
            }
            Self::NoSpace { place, .. } => {
                Some(format!("free space on the disk or quota that holds {}", place.display()))
            }
            Self::Name { .. } | Self::File { .. } => None,
        }
    }
}
