//! A project's Kconfig files on disk: which ones, how to read them, and what is wrong with them.

mod commit;
mod files;
mod home;
mod past;
mod places;
mod shell;
mod snippet;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use clap::ValueEnum;
use kbs_kconfig::{Dialect, Files, HeaderOff, Kconfig, LoadError, NoShell, Prefix};
use kbs_plan::error::Class;
use kbs_plan::kconfig::{DialectName, HeaderOffName, KconfigRules};
use kbs_plan::recipe::{Recipe, RecipePatch, builtin, builtin_text};
use kbs_plan::spec::Spec;

pub(crate) use home::{Form, Home};
pub(crate) use past::Pasts;
pub(crate) use text::{ConfigText, write_config};

use crate::cmd::Session;
use crate::connect::Daemon;
use crate::error::CliError;
use commit::{CommitArgs, Fetched};
use files::TreeFiles;
use shell::TreeShell;

/// Which Kconfig files, and how to read them
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kconfig files")]
pub(crate) struct TreeArgs {
    /// The project's source tree; no file outside it is read [default: .]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    tree: Option<PathBuf>,
    /// Read them as this recipe says: a built-in one, or the path of a TOML file
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// The first Kconfig file, relative to the tree; replaces the recipe's
    #[arg(long, value_name = "PATH")]
    root: Option<String>,
    /// The rules of which tool hold; replaces the recipe's
    #[arg(long, value_name = "TOOL")]
    dialect: Option<DialectChoice>,
    /// A variable that the files may ask for (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Run the commands that the files ask for, unconfined: only for a tree that you trust
    #[arg(long)]
    run_shell: bool,
    #[command(flatten)]
    commit: CommitArgs,
    #[arg(skip)]
    fetched: OnceLock<Fetched>,
}

/// A tool that reads Kconfig files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::doc_markdown, reason = "doc comments are the help texts")]
enum DialectChoice {
    /// Linux's own, as of 6.1
    Conf,
    /// The older copy of it in U-Boot
    UBoot,
    /// That in SeaBIOS
    Seabios,
    /// That in busybox
    Busybox,
    /// kconfiglib, as Zephyr has it
    Kconfiglib,
    /// kconfiglib, as Klipper, Kalico and Katapult have it
    Klipper,
}

impl From<DialectChoice> for Dialect {
    fn from(choice: DialectChoice) -> Self {
        match choice {
            DialectChoice::Conf => Self::CONF,
            DialectChoice::UBoot => Self::U_BOOT,
            DialectChoice::Seabios => Self::SEABIOS,
            DialectChoice::Busybox => Self::BUSYBOX,
            DialectChoice::Kconfiglib => Self::KCONFIGLIB,
            DialectChoice::Klipper => Self::KLIPPER,
        }
    }
}

/// How to read a project's Kconfig files.
#[derive(Debug)]
struct Rules {
    root: String,
    dialect: Dialect,
    prefix: Prefix,
    env: BTreeMap<String, String>,
    generated: BTreeMap<String, String>,
    subdir: Option<String>,
}

impl TreeArgs {
    /// Whether the files are those of a commit, which a daemon has.
    pub(crate) fn asks_a_daemon(&self) -> bool {
        self.commit.is_given()
    }

    /// Gets the files from a daemon where they are those of a commit; that daemon.
    ///
    /// # Errors
    /// A wrong spec, or what the daemon answered.
    pub(crate) async fn fetch(
        &self,
        session: &mut Session<'_>,
    ) -> Result<Option<Daemon>, CliError> {
        if !self.asks_a_daemon() {
            return Ok(None);
        }
        let (fetched, daemon) = self.commit.fetch(self.recipe.as_deref(), session).await?;
        self.fetched.get_or_init(|| fetched);
        Ok(Some(daemon))
    }

    /// What a build of the commit would be asked for by.
    ///
    /// # Errors
    /// A wrong spec or name.
    pub(crate) fn build_spec(&self) -> Result<Spec, CliError> {
        self.commit.spec(self.recipe.as_deref())
    }

    /// Reads the configuration at `path`, and without one what the spec asks for, if there is one.
    ///
    /// # Errors
    /// As [`ConfigText::read`].
    pub(crate) fn config(&self, path: Option<&String>) -> Result<Option<ConfigText>, CliError> {
        match (path, self.fetched.get()) {
            (None, Some(fetched)) => Ok(Some(fetched.config())),
            (path, _) => path.map(|path| ConfigText::read(Path::new(path))).transpose(),
        }
    }

    /// Where the project's own tool keeps its configuration.
    pub(crate) fn dotconfig(&self) -> PathBuf {
        self.tree().join(".config")
    }

    /// The spec whose commit it is.
    pub(crate) fn spec(&self) -> Option<&Path> {
        self.commit.spec.as_deref()
    }

    /// The source whose commit it is.
    pub(crate) fn project(&self) -> Option<&str> {
        self.commit.project.as_deref()
    }

    /// What became of `symbols`, by the history of the commit: nothing is known of those of a tree.
    pub(crate) fn past(&self, symbols: Vec<String>) -> Pasts {
        let fetched = self.fetched.get().filter(|_| !symbols.is_empty());
        fetched.map_or_else(Pasts::default, |fetched| fetched.history.of(symbols))
    }

    fn tree(&self) -> &Path {
        self.tree.as_deref().unwrap_or(Path::new("."))
    }

    /// Takes the files of the commit of the spec at `path`, as with `--spec`.
    ///
    /// # Errors
    /// An option that says where else they are, or how to read them.
    pub(crate) fn take_spec(&mut self, path: PathBuf) -> Result<(), CliError> {
        let Self { tree, recipe, root, dialect, env, run_shell, commit, fetched: _ } = self;
        let CommitArgs { spec, project, rev: _ } = commit;
        let given = [
            ("--spec", spec.is_some()),
            ("--project", project.is_some()),
            ("--tree", tree.is_some()),
            ("--recipe", recipe.is_some()),
            ("--root", root.is_some()),
            ("--dialect", dialect.is_some()),
            ("--env", !env.is_empty()),
            ("--run-shell", *run_shell),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            let path = path.display();
            let text = format!("cannot use the spec {path} together with {option}");
            return Err(CliError::new(Class::User, text));
        }
        *spec = Some(path);
        Ok(())
    }

    /// Takes the one of `operands` that is a spec: its name ends in `.toml`, and it sets nothing.
    ///
    /// # Errors
    /// As [`Self::take_spec`]; a second spec.
    pub(crate) fn take_spec_of(&mut self, operands: &mut Vec<String>) -> Result<(), CliError> {
        let is_spec = |operand: &mut String| is_toml(Path::new(operand)) && !operand.contains('=');
        let specs: Vec<String> = operands.extract_if(.., is_spec).collect();
        match specs.as_slice() {
            [] => Ok(()),
            [spec] => self.take_spec(spec.into()),
            [one, other, ..] => {
                Err(CliError::new(Class::User, format!("cannot use two specs, {one} and {other}"))
                    .with_help("a name that ends in `.toml` is that of a spec"))
            }
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A wrong option, a tree that cannot be opened, or files that are no Kconfig: with the line.
    pub(crate) fn load(&self) -> Result<Kconfig, CliError> {
        if let Some(fetched) = self.fetched.get() {
            return fetched.load();
        }
        let dir = open(self.tree())?;
        let Rules { root, dialect, prefix, env, generated, subdir } = self.rules(&dir)?;
        let (dir, path) = match subdir {
            Some(subdir) => {
                let path = self.tree().join(&subdir);
                (dir.open_dir(&subdir).map_err(|error| unreadable(&path, &error))?, path)
            }
            None => (dir, self.tree().to_owned()),
        };
        let files = TreeFiles { dir, generated };
        let loaded = if self.run_shell {
            let shell = TreeShell { dir: path, env: env.clone() };
            Kconfig::load(&root, &files, dialect, &env, &shell)
        } else {
            Kconfig::load(&root, &files, dialect, &env, &NoShell)
        };
        loaded.map(|kconfig| kconfig.with_prefix(prefix)).map_err(|error| self.told(&error, &files))
    }

    fn rules(&self, dir: &Dir) -> Result<Rules, CliError> {
        let mut rules = match (&self.recipe, self.dialect) {
            (Some(name), _) => of_recipe(name)?,
            (None, Some(dialect)) => of_dialect(dialect.into()),
            (None, None) => self.guessed(dir)?,
        };
        if let Some(dialect) = self.dialect {
            rules.dialect = dialect.into();
        }
        if let Some(root) = &self.root {
            rules.root.clone_from(root);
        }
        for variable in &self.env {
            let (name, value) = variable.split_once('=').ok_or_else(|| {
                CliError::new(Class::User, format!("--env {variable} has no `=`"))
                    .with_help("write NAME=VALUE")
            })?;
            rules.env.insert(name.to_owned(), value.to_owned());
        }
        Ok(rules)
    }

    /// The rules that the tree itself suggests.
    fn guessed(&self, dir: &Dir) -> Result<Rules, CliError> {
        if dir.is_dir("lib/kconfiglib") && dir.is_file("src/Kconfig") {
            return of_recipe("klipper");
        }
        if dir.is_file("scripts/kconfig/conf.c") {
            return Ok(of_dialect(if dir.is_dir("include/u-boot") {
                Dialect::U_BOOT
            } else if dir.is_file("include/libbb.h") {
                Dialect::BUSYBOX
            } else if dir.is_file("vgasrc/Kconfig") {
                Dialect::SEABIOS
            } else {
                Dialect::CONF
            }));
        }
        let tree = self.tree().display();
        Err(CliError::new(Class::User, format!("cannot tell how {tree} is configured"))
            .with_help("give --recipe, or --dialect and --root"))
    }

    fn told(&self, error: &LoadError, files: &dyn Files) -> CliError {
        let message = format!("cannot read the Kconfig files of {}", self.tree().display());
        let mut chain = vec![message];
        chain.extend(snippet::told(error, files));
        let help = match error {
            LoadError::Shell { .. } if self.run_shell => None,
            LoadError::Shell { .. } => Some(
                "--run-shell runs such commands as they are; use it only for a tree that you trust"
                    .to_owned(),
            ),
            error => error.help(),
        };
        CliError::Told { class: Class::User, chain, help }
    }
}

/// Whether a path ends in `.toml`, as specs and recipes do.
pub(crate) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

fn open(tree: &Path) -> Result<Dir, CliError> {
    Dir::open_ambient_dir(tree, ambient_authority()).map_err(|error| unreadable(tree, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::request(format!("cannot open the tree {}", path.display()), error)
}

fn of_dialect(dialect: Dialect) -> Rules {
    let root = match dialect {
        Dialect::KLIPPER | Dialect::SEABIOS => "src/Kconfig",
        Dialect::BUSYBOX => "Config.in",
        _ => "Kconfig",
    };
    Rules {
        root: root.to_owned(),
        dialect,
        prefix: Prefix::default(),
        env: BTreeMap::new(),
        generated: BTreeMap::new(),
        subdir: None,
    }
}

/// The rules of a built-in recipe, or of one in a file.
fn of_recipe(name: &str) -> Result<Rules, CliError> {
    let is_path = builtin_text(name).is_none() && (name.contains('/') || is_toml(Path::new(name)));
    let patch = if is_path {
        let text = std::fs::read_to_string(name)
            .map_err(|error| CliError::request(format!("cannot read the recipe {name}"), &error))?;
        RecipePatch::parse(&text)?
    } else {
        builtin(name)?
    };
    let recipe = patch.finish()?;
    let env = recipe.kconfig_env();
    let Recipe { kconfig, build, .. } = recipe;
    let Some(rules) = kconfig else {
        let text = format!("the recipe {name} does not say where Kconfig files are");
        return Err(CliError::new(Class::User, text).with_help("give --dialect and --root instead"));
    };
    of_rules(name, rules, env, build.subdir)
}

/// The rules of the recipe `name`.
fn of_rules(
    name: &str,
    rules: KconfigRules,
    env: BTreeMap<String, String>,
    subdir: Option<String>,
) -> Result<Rules, CliError> {
    let KconfigRules {
        configure: _,
        root,
        dialect,
        header_off,
        prefix,
        paths: _,
        env: _,
        shell: _,
        generated,
    } = rules;
    let dialect = match dialect {
        DialectName::Conf => Dialect::CONF,
        DialectName::UBoot => Dialect::U_BOOT,
        DialectName::Seabios => Dialect::SEABIOS,
        DialectName::Busybox => Dialect::BUSYBOX,
        DialectName::Kconfiglib => Dialect::KCONFIGLIB,
    };
    let header_off = match header_off {
        HeaderOffName::Left => HeaderOff::Left,
        HeaderOffName::Zero => HeaderOff::Zero,
    };
    let prefix = Prefix::new(prefix).map_err(|error| {
        CliError::request(format!("the recipe {name} has a wrong prefix"), &error)
    })?;
    let dialect = Dialect { header_off, ..dialect };
    Ok(Rules { root, dialect, prefix, env, generated, subdir })
}
