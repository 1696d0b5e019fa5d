//! `--tree`: Kconfig files in a directory.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use clap::ValueEnum;
use kbs_kconfig::{
    Dialect, FILE_MAX_B, FileFault, Files, HeaderOff, Kconfig, LoadError, NoShell, Prefix, Shell,
    ShellRefusal,
};
use kbs_plan::error::{Class, Help};
use kbs_plan::kconfig::{DialectName, HeaderOffName, KconfigRules};
use kbs_plan::recipe::{RecipeError, RecipePatch, builtin, builtin_names};

use crate::render::screen::plain;

/// Where Kconfig files are, and by whose rules they are read
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kconfig files in a directory")]
pub(crate) struct TreeArgs {
    /// Read the Kconfig files in this directory; needs no daemon
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) tree: Option<PathBuf>,
    /// Read them as this built-in recipe or recipe file says
    #[arg(long, value_name = "RECIPE", requires = "tree")]
    recipe: Option<String>,
    /// Read them by the rules of this tool
    #[arg(long, value_name = "TOOL", requires = "tree", conflicts_with = "recipe")]
    dialect: Option<ToolName>,
    /// Begin with this file [default: Kconfig]
    #[arg(long, value_name = "PATH", requires = "tree", conflicts_with = "recipe")]
    root: Option<String>,
    /// A variable that the files may ask for, besides those of the recipe (repeatable)
    #[arg(long, value_name = "NAME=VALUE", requires = "tree")]
    env: Vec<String>,
    /// Run the commands that the files ask for, in the directory and as you
    #[arg(long, requires = "tree")]
    run_commands: bool,
}

/// A tool by whose rules Kconfig files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ToolName {
    /// Linux's conf, and what descends from it
    Conf,
    /// kconfiglib
    Kconfiglib,
    /// kconfiglib, as Klipper has it
    Klipper,
}

/// The Kconfig files of a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// It cannot be opened.
    #[error("cannot open the directory {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody says by whose rules.
    #[error("nothing says how the Kconfig files in {} are to be read", path.display())]
    NoRules {
        /// The directory.
        path: PathBuf,
    },
    /// The recipe does not help.
    #[error("the recipe {name} does not say where Kconfig files are")]
    NoKconfig {
        /// The recipe.
        name: String,
    },
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The recipe file cannot be read.
    #[error("cannot read the recipe {name}")]
    RecipeFile {
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A variable without a value.
    #[error("--env {text} is not NAME=VALUE")]
    Env {
        /// What was given.
        text: String,
    },
    /// The files cannot be understood.
    #[error("cannot understand the Kconfig files in {}", path.display())]
    Load {
        /// The directory.
        path: PathBuf,
        /// Where and why.
        source: LoadError,
    },
}

impl Help for TreeError {
    fn class(&self) -> Class {
        match self {
            Self::Recipe(error) => error.class(),
            _ => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Recipe(error) => error.help(),
            Self::NoRules { .. } => {
                let names: Vec<_> = builtin_names().collect();
                Some(format!(
                    "give --recipe with one of {}, or --dialect and --root",
                    names.join(", ")
                ))
            }
            Self::NoKconfig { .. } => Some("give --dialect and --root instead".to_owned()),
            Self::Load { source: LoadError::Shell { .. }, .. } => {
                Some("add --run-commands to let the files run programs here, as you".to_owned())
            }
            _ => None,
        }
    }
}

/// How the files are read.
struct Rules {
    root: String,
    dialect: Dialect,
    prefix: Prefix,
    /// The directory, below that of the tree.
    dir: Option<String>,
    env: BTreeMap<String, String>,
    generated: BTreeMap<String, String>,
}

impl TreeArgs {
    /// Reads and understands the Kconfig files in `dir`.
    ///
    /// # Errors
    /// [`TreeError`].
    pub(crate) fn load(&self, dir: &Path) -> Result<Kconfig, TreeError> {
        let Rules { root, dialect, prefix, dir: subdir, env, generated } = self.rules(dir)?;
        let path = subdir.map_or_else(|| dir.to_owned(), |subdir| dir.join(subdir));
        let open = |source| TreeError::Open { path: path.clone(), source };
        let opened = Dir::open_ambient_dir(&path, ambient_authority()).map_err(open)?;
        let files = TreeFiles { dir: opened, generated };
        let runs = Runs { dir: &path, env: &env };
        let shell: &dyn Shell = if self.run_commands { &runs } else { &NoShell };
        let kconfig = Kconfig::load(&root, &files, dialect, &env, shell)
            .map_err(|source| TreeError::Load { path: dir.to_owned(), source })?;
        Ok(kconfig.with_prefix(prefix))
    }

    fn rules(&self, dir: &Path) -> Result<Rules, TreeError> {
        let mut rules = match (&self.recipe, self.dialect) {
            (Some(name), _) => of_recipe(name)?,
            (None, Some(tool)) => Rules {
                root: self.root.clone().unwrap_or_else(|| "Kconfig".to_owned()),
                dialect: match tool {
                    ToolName::Conf => Dialect::CONF,
                    ToolName::Kconfiglib => Dialect::KCONFIGLIB,
                    ToolName::Klipper => Dialect::KLIPPER,
                },
                prefix: Prefix::default(),
                dir: None,
                env: BTreeMap::new(),
                generated: BTreeMap::new(),
            },
            (None, None) => return Err(TreeError::NoRules { path: dir.to_owned() }),
        };
        for text in &self.env {
            let (name, value) =
                text.split_once('=').ok_or_else(|| TreeError::Env { text: plain(text) })?;
            rules.env.insert(name.to_owned(), value.to_owned());
        }
        Ok(rules)
    }
}

/// The rules of a built-in recipe, or of one in a file.
fn of_recipe(name: &str) -> Result<Rules, TreeError> {
    let patch = if Path::new(name).extension().is_some_and(|ending| ending == "toml") {
        let failed = |source| TreeError::RecipeFile { name: plain(name), source };
        RecipePatch::parse(&std::fs::read_to_string(name).map_err(failed)?)?
    } else {
        builtin(name)?
    };
    let recipe = patch.finish()?;
    let env = recipe.kconfig_env();
    let none = || TreeError::NoKconfig { name: plain(name) };
    let KconfigRules {
        configure: _,
        root,
        dialect,
        header_off,
        prefix,
        paths: _,
        env: _,
        generated,
    } = recipe.kconfig.ok_or_else(none)?;
    let dialect = match dialect {
        DialectName::Conf => Dialect::CONF,
        DialectName::Kconfiglib => Dialect::KCONFIGLIB,
    };
    let header_off = match header_off {
        HeaderOffName::Left => HeaderOff::Left,
        HeaderOffName::Zero => HeaderOff::Zero,
    };
    Ok(Rules {
        root,
        dialect: Dialect { header_off, ..dialect },
        prefix: Prefix::new(&prefix).map_err(|_| none())?,
        dir: recipe.build.subdir,
        env,
        generated,
    })
}

/// Files beneath a directory: no link leads out of it.
struct TreeFiles {
    dir: Dir,
    generated: BTreeMap<String, String>,
}

impl Files for TreeFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileFault> {
        if let Some(text) = self.generated.get(path) {
            return Ok(Some(text.clone().into_bytes()));
        }
        let file = match self.dir.open(path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            file => file?,
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(FILE_MAX_B as u64 + 1).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn names(&self, dir: &str) -> Result<Vec<String>, FileFault> {
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let made = self.generated.keys().filter_map(|path| path.strip_prefix(&below));
        let mut names: Vec<String> =
            made.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        let read = if dir.is_empty() { self.dir.entries() } else { self.dir.read_dir(dir) };
        match read {
            Ok(entries) => {
                for entry in entries {
                    names.extend(entry?.file_name().into_string());
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(names)
    }
}

/// Runs what the files ask for, as the person who asked for it.
struct Runs<'a> {
    dir: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Shell for Runs<'_> {
    fn output(&self, command: &str) -> Result<String, ShellRefusal> {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(self.dir)
            .envs(self.env)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| ShellRefusal { reason: error.to_string() })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
