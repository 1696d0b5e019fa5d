//! How a project is configured and built: recipes, built in or brought along.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::environment::env_refused;
use crate::kconfig::{Configurer, KconfigPatch, KconfigRules};
use crate::pattern::Pattern;

/// The newest recipe format this version reads.
pub const RECIPE_FORMAT: u32 = 1;

/// A recipe with every field decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What it is called; part of the key.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Which part of the repository the build sees.
    pub source: SourceRules,
    /// Where the version string comes from.
    pub version: VersionPolicy,
    /// How a configuration is normalised; `None` where the project has none.
    pub configure: Option<ConfigureRules>,
    /// Where the Kconfig files are; `None` where kbs does not read them.
    pub kconfig: Option<KconfigRules>,
    /// What is run.
    pub build: BuildRules,
    /// What is kept.
    pub collect: CollectRules,
    /// What must be on the host for the image `host`.
    pub toolchain: ToolchainRules,
}

/// Which part of the repository the build sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRules {
    /// Paths and globs; empty means the whole tree.
    pub paths: Vec<String>,
    /// Whether submodules are part of the tree.
    pub submodules: bool,
}

/// Where the version string comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// What `git describe --always --tags --long` prints in a full upstream clone.
    Describe {
        /// Hex digits of the abbreviated commit; `None`: as many as git would show there.
        abbrev: Option<u8>,
    },
    /// The same, for the last commit that touched the source paths.
    Paths {
        /// As in [`VersionPolicy::Describe`].
        abbrev: Option<u8>,
    },
    /// This string.
    Exact(String),
}

/// How a configuration is normalised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigureRules {
    /// Argument vectors, run in order with the merged configuration at `/build/src/.config` where
    /// the project configures itself; not empty there.
    pub commands: Vec<Vec<String>>,
    /// The paths those commands read; empty means all source paths.
    pub paths: Vec<String>,
    /// Where `defconfig = "NAME"` is looked for; `{}` stands for the name.
    pub defconfigs: Vec<String>,
    /// Symbols (or globs with `*`) that say which device this is for.
    pub identity: Vec<String>,
}

/// What is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildRules {
    /// Directory below `/build/src` that commands run in.
    pub subdir: Option<String>,
    /// Argument vectors, run before make.
    pub prepare: Vec<Vec<String>>,
    /// Goals given to make; empty means its default goal.
    pub goals: Vec<String>,
    /// Further arguments of make, without job counts.
    pub args: Vec<String>,
    /// Environment of configure, prepare and make.
    pub env: BTreeMap<String, String>,
    /// Names (or globs with `*`) that a spec may set in `[env]`.
    pub env_allowed: Vec<String>,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectRules {
    /// Directory below `/build` that patterns and output paths are relative to.
    pub root: String,
    /// Every one of these must match at least one file.
    pub required: Vec<Pattern>,
    /// These may match.
    pub optional: Vec<Pattern>,
}

/// What must be on the host for the image `host`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolchainRules {
    /// Programs without which no build works.
    pub programs: Vec<String>,
    /// Programs taken along where they are installed.
    pub optional_programs: Vec<String>,
    /// Packages taken along where they are installed.
    pub optional_packages: Vec<String>,
}

/// A recipe, or changes to one, as written: every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RecipePatch {
    /// Recipe format, [`RECIPE_FORMAT`] at most.
    pub format: Option<u32>,
    /// See [`Recipe::name`].
    pub name: Option<String>,
    /// See [`Recipe::summary`].
    pub summary: Option<String>,
    /// See [`SourceRules`].
    pub source: SourcePatch,
    /// See [`VersionPolicy`].
    pub version: VersionPatch,
    /// See [`ConfigureRules`].
    pub configure: Option<ConfigurePatch>,
    /// See [`KconfigRules`].
    pub kconfig: Option<KconfigPatch>,
    /// See [`BuildRules`].
    pub build: BuildPatch,
    /// See [`CollectRules`].
    pub collect: CollectPatch,
    /// See [`ToolchainRules`].
    pub toolchain: ToolchainPatch,
}

/// See [`SourceRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SourcePatch {
    /// See [`SourceRules::paths`].
    pub paths: Option<Vec<String>>,
    /// See [`SourceRules::submodules`].
    pub submodules: Option<bool>,
}

/// See [`VersionPolicy`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct VersionPatch {
    /// `describe` or `paths`.
    pub policy: Option<VersionPolicyName>,
    /// Hex digits of the abbreviated commit, 4 to 40.
    pub abbrev: Option<u8>,
    /// The version string itself.
    pub exact: Option<String>,
}

/// A version policy by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionPolicyName {
    /// See [`VersionPolicy::Describe`].
    Describe,
    /// See [`VersionPolicy::Paths`].
    Paths,
}

/// See [`ConfigureRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ConfigurePatch {
    /// See [`ConfigureRules::commands`].
    pub commands: Option<Vec<Vec<String>>>,
    /// See [`ConfigureRules::paths`].
    pub paths: Option<Vec<String>>,
    /// See [`ConfigureRules::defconfigs`].
    pub defconfigs: Option<Vec<String>>,
    /// See [`ConfigureRules::identity`].
    pub identity: Option<Vec<String>>,
}

/// See [`BuildRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BuildPatch {
    /// See [`BuildRules::subdir`].
    pub subdir: Option<String>,
    /// See [`BuildRules::prepare`].
    pub prepare: Option<Vec<Vec<String>>>,
    /// See [`BuildRules::goals`].
    pub goals: Option<Vec<String>>,
    /// See [`BuildRules::args`].
    pub args: Option<Vec<String>>,
    /// See [`BuildRules::env`]; added name by name.
    pub env: BTreeMap<String, String>,
    /// See [`BuildRules::env_allowed`].
    pub env_allowed: Option<Vec<String>>,
}

/// See [`CollectRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CollectPatch {
    /// See [`CollectRules::root`].
    pub root: Option<String>,
    /// See [`CollectRules::required`].
    pub required: Option<Vec<Pattern>>,
    /// See [`CollectRules::optional`].
    pub optional: Option<Vec<Pattern>>,
}

/// See [`ToolchainRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ToolchainPatch {
    /// See [`ToolchainRules::programs`].
    pub programs: Option<Vec<String>>,
    /// See [`ToolchainRules::optional_programs`].
    pub optional_programs: Option<Vec<String>>,
    /// See [`ToolchainRules::optional_packages`].
    pub optional_packages: Option<Vec<String>>,
}

/// A recipe cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// No built-in recipe has this name.
    #[error("there is no recipe `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The TOML does not say what a recipe says.
    #[error("cannot read the recipe\n{detail}")]
    Syntax {
        /// The TOML reader's message with the line.
        detail: String,
    },
    /// A field is missing or wrong.
    #[error("the recipe `{name}` {reason}")]
    Rule {
        /// The recipe.
        name: String,
        /// Which rule is broken.
        reason: String,
    },
}

impl crate::error::Help for RecipeError {
    fn class(&self) -> crate::error::Class {
        match self {
            Self::Unknown { .. } => crate::error::Class::NotFound,
            Self::Syntax { .. } | Self::Rule { .. } => crate::error::Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some(format!(
                "choose one of {}, or bring your own in a [recipe] table with a name",
                builtin_names().collect::<Vec<_>>().join(", ")
            )),
            Self::Syntax { .. } | Self::Rule { .. } => None,
        }
    }
}

macro_rules! builtins {
    ($($name:literal),*) => {
        const BUILTINS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../recipes/", $name, ".toml")))),*];
    };
}
builtins!("busybox", "kalico", "klipper", "make", "seabios");

/// The names of the built-in recipes, sorted.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

/// The TOML text of a built-in recipe.
pub fn builtin_text(name: &str) -> Option<&'static str> {
    BUILTINS.iter().find(|(builtin, _)| *builtin == name).map(|(_, text)| *text)
}

impl RecipePatch {
    /// Reads recipe TOML.
    ///
    /// # Errors
    /// [`RecipeError::Syntax`], which shows the line.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        toml::from_str(text).map_err(|error| RecipeError::Syntax { detail: error.to_string() })
    }

    /// Writes the recipe as TOML that [`RecipePatch::parse`] reads back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is made of tables, lists and text")
    }

    /// These fields, with those of `base` where they say nothing.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        let Self {
            format,
            name,
            summary,
            source,
            version,
            configure,
            kconfig,
            build,
            collect,
            toolchain,
        } = self;
        let mut env = base.build.env;
        env.extend(build.env);
        let decided = version.exact.is_some() || version.policy.is_some();
        Self {
            format: format.or(base.format),
            name: name.or(base.name),
            summary: summary.or(base.summary),
            source: SourcePatch {
                paths: source.paths.or(base.source.paths),
                submodules: source.submodules.or(base.source.submodules),
            },
            version: VersionPatch {
                policy: if decided { version.policy } else { base.version.policy },
                abbrev: version.abbrev.or(base.version.abbrev),
                exact: if decided { version.exact } else { base.version.exact },
            },
            configure: match (configure, base.configure) {
                (Some(mine), Some(base)) => Some(ConfigurePatch {
                    commands: mine.commands.or(base.commands),
                    paths: mine.paths.or(base.paths),
                    defconfigs: mine.defconfigs.or(base.defconfigs),
                    identity: mine.identity.or(base.identity),
                }),
                (mine, base) => mine.or(base),
            },
            kconfig: match (kconfig, base.kconfig) {
                (Some(mine), Some(base)) => Some(mine.over(base)),
                (mine, base) => mine.or(base),
            },
            build: BuildPatch {
                subdir: build.subdir.or(base.build.subdir),
                prepare: build.prepare.or(base.build.prepare),
                goals: build.goals.or(base.build.goals),
                args: build.args.or(base.build.args),
                env,
                env_allowed: build.env_allowed.or(base.build.env_allowed),
            },
            collect: CollectPatch {
                root: collect.root.or(base.collect.root),
                required: collect.required.or(base.collect.required),
                optional: collect.optional.or(base.collect.optional),
            },
            toolchain: ToolchainPatch {
                programs: toolchain.programs.or(base.toolchain.programs),
                optional_programs: toolchain.optional_programs.or(base.toolchain.optional_programs),
                optional_packages: toolchain.optional_packages.or(base.toolchain.optional_packages),
            },
        }
    }

    /// The recipe, every field decided and checked.
    ///
    /// # Errors
    /// [`RecipeError::Rule`] naming the field that is missing or wrong.
    pub fn finish(self) -> Result<Recipe, RecipeError> {
        let Self {
            format,
            name,
            summary,
            source,
            version,
            configure,
            kconfig,
            build,
            collect,
            toolchain,
        } = self;
        let name = name.unwrap_or_else(|| "unnamed".to_owned());
        let rule = |reason: String| RecipeError::Rule { name: name.clone(), reason };
        if format.is_some_and(|format| format != RECIPE_FORMAT) {
            return Err(rule(format!("is of another format; this kbs reads {RECIPE_FORMAT}")));
        }
        if !is_plain_name(&name) {
            return Err(rule("needs a name of letters, digits, `.`, `_` and `-`".to_owned()));
        }
        let kconfig = kconfig.map(|rules| rules.finish().map_err(&rule)).transpose()?;
        let configurer = kconfig.as_ref().map(|rules| rules.configure);
        let configure = match (configure, configurer) {
            (None, None) => None,
            (rules, configurer) => {
                let configurer = configurer.unwrap_or(Configurer::Project);
                Some(finish_configure(rules.unwrap_or_default(), configurer, &rule)?)
            }
        };
        let required = collect.required.unwrap_or_default();
        let optional = collect.optional.unwrap_or_default();
        if required.is_empty() && optional.is_empty() {
            return Err(rule("collects nothing; give collect.required".to_owned()));
        }
        let root = collect.root.unwrap_or_else(|| "src".to_owned());
        for dir in [Some(&root), build.subdir.as_ref()].into_iter().flatten() {
            crate::path::RelPath::new(dir.as_str())
                .map_err(|error| rule(format!("is wrong: {error}")))?;
        }
        if !["src", "out"].iter().any(|top| root == *top || root.starts_with(&format!("{top}/"))) {
            return Err(rule(format!("collects from `{root}`, which is not below src or out")));
        }
        for argv in build.prepare.iter().flatten() {
            check_argv(argv, &rule)?;
        }
        if build.args.iter().chain(&build.goals).flatten().any(|word| word.contains('\0')) {
            return Err(rule("has a NUL byte in an argument of make".to_owned()));
        }
        for (name, value) in &build.env {
            if let Some(reason) = env_refused(name, value) {
                return Err(rule(format!("sets `{name}` in its environment, which {reason}")));
            }
        }
        Ok(Recipe {
            version: finish_version(version, &rule)?,
            summary: summary.unwrap_or_default(),
            source: SourceRules {
                paths: source.paths.unwrap_or_default(),
                submodules: source.submodules.unwrap_or(false),
            },
            configure,
            kconfig,
            build: BuildRules {
                subdir: build.subdir,
                prepare: build.prepare.unwrap_or_default(),
                goals: build.goals.unwrap_or_default(),
                args: without_job_counts(build.args.unwrap_or_default()),
                env: build.env,
                env_allowed: build.env_allowed.unwrap_or_default(),
            },
            collect: CollectRules { root, required, optional },
            toolchain: ToolchainRules {
                programs: toolchain.programs.unwrap_or_default(),
                optional_programs: toolchain.optional_programs.unwrap_or_default(),
                optional_packages: toolchain.optional_packages.unwrap_or_default(),
            },
            name,
        })
    }
}

impl Recipe {
    /// Who normalises configurations of the project.
    pub fn configurer(&self) -> Configurer {
        self.kconfig.as_ref().map_or(Configurer::Project, |rules| rules.configure)
    }

    /// The environment that Kconfig files may ask for: what they are given by default, and over it
    /// that of the build.
    pub fn kconfig_env(&self) -> BTreeMap<String, String> {
        let mut env = self.kconfig.as_ref().map(|rules| rules.env.clone()).unwrap_or_default();
        env.extend(self.build.env.clone());
        env
    }
}

/// Reads a built-in recipe.
///
/// # Errors
/// [`RecipeError::Unknown`].
pub fn builtin(name: &str) -> Result<RecipePatch, RecipeError> {
    match builtin_text(name) {
        Some(text) => RecipePatch::parse(text),
        None => Err(RecipeError::Unknown { name: name.to_owned() }),
    }
}

type Rule<'a> = &'a dyn Fn(String) -> RecipeError;

fn finish_configure(
    rules: ConfigurePatch,
    configurer: Configurer,
    rule: Rule,
) -> Result<ConfigureRules, RecipeError> {
    let ConfigurePatch { commands, paths, defconfigs, identity } = rules;
    let commands = commands.unwrap_or_default();
    if commands.is_empty() && configurer == Configurer::Project {
        return Err(rule("has no configure.commands, with which it configures itself".to_owned()));
    }
    for argv in &commands {
        check_argv(argv, rule)?;
    }
    let defconfigs = defconfigs.unwrap_or_default();
    if let Some(bad) = defconfigs.iter().find(|place| !place.contains("{}")) {
        return Err(rule(format!(
            "looks for a defconfig in `{bad}`, which has no {{}} for its name"
        )));
    }
    Ok(ConfigureRules {
        commands,
        paths: paths.unwrap_or_default(),
        defconfigs,
        identity: identity.unwrap_or_default(),
    })
}

fn check_argv(argv: &[String], rule: Rule) -> Result<(), RecipeError> {
    match argv.first() {
        Some(program) if program.is_empty() => Err(rule("has an empty command".to_owned())),
        None => Err(rule("has an empty command".to_owned())),
        Some(_) if argv.iter().any(|word| word.contains('\0')) => {
            Err(rule("has a NUL byte in a command".to_owned()))
        }
        Some(_) => Ok(()),
    }
}

fn finish_version(version: VersionPatch, rule: Rule) -> Result<VersionPolicy, RecipeError> {
    let VersionPatch { policy, abbrev, exact } = version;
    if abbrev.is_some_and(|digits| !(4..=40).contains(&digits)) {
        return Err(rule("wants an abbreviation outside 4 to 40 hex digits".to_owned()));
    }
    match (exact, policy) {
        (Some(_), Some(_)) => Err(rule("gives both version.exact and version.policy".to_owned())),
        (Some(exact), None) if is_version(&exact) => Ok(VersionPolicy::Exact(exact)),
        (Some(exact), None) => {
            Err(rule(format!("has a version string that no git would print: {exact:?}")))
        }
        (None, None | Some(VersionPolicyName::Describe)) => Ok(VersionPolicy::Describe { abbrev }),
        (None, Some(VersionPolicyName::Paths)) => Ok(VersionPolicy::Paths { abbrev }),
    }
}

/// Whether a version string can be compiled in: it goes through shells and makefiles, so only
/// letters, digits and `._-+/?~` will do.
pub fn is_version(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+/?~".contains(&b))
}

fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !name.is_empty() && name.len() <= 64 && !name.starts_with(['.', '-']) && name.bytes().all(plain)
}

/// Drops `-j`, `-jN`, `-j N`, `--jobs`, `--jobs=N`, `--jobs N`: how many jobs run at a time
/// is the daemon's business and never part of a key.
fn without_job_counts(args: Vec<String>) -> Vec<String> {
    let is_number = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut kept = Vec::with_capacity(args.len());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "-j" || arg == "--jobs" {
            args.next_if(is_number);
        } else if !arg.starts_with("--jobs=")
            && !arg.strip_prefix("-j").is_some_and(|rest| is_number(&rest.to_owned()))
        {
            kept.push(arg);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_whole() {
        for name in builtin_names() {
            let recipe = builtin(name).unwrap().finish().unwrap();
            assert_eq!(recipe.name, name);
            assert!(!recipe.summary.is_empty(), "{name}");
        }
        assert!(matches!(builtin("nope"), Err(RecipeError::Unknown { .. })));
    }

    #[test]
    fn job_counts_are_dropped_and_nothing_else() {
        let args = ["-j8", "V=1", "-j", "4", "--jobs=3", "--jobs", "2", "-j", "W=1", "-k", "-just"];
        let kept = without_job_counts(args.iter().map(|arg| (*arg).to_owned()).collect());
        assert_eq!(kept, ["V=1", "W=1", "-k", "-just"]);
    }

    #[test]
    fn an_override_keeps_the_other_fields() {
        let patch = RecipePatch::parse("[build]\ngoals = ['x']\n[build.env]\nA = '1'").unwrap();
        let recipe = patch.over(builtin("klipper").unwrap()).finish().unwrap();
        assert_eq!(recipe.build.goals, ["x"]);
        assert_eq!(recipe.build.env["A"], "1");
        assert_eq!(recipe.name, "klipper");
        assert!(recipe.configure.is_some());
    }

    #[test]
    fn an_exact_version_replaces_the_policy() {
        let patch = RecipePatch::parse("[version]\nexact = 'v0.13.0-730-g84104bbb'").unwrap();
        let recipe = patch.over(builtin("klipper").unwrap()).finish().unwrap();
        assert_eq!(recipe.version, VersionPolicy::Exact("v0.13.0-730-g84104bbb".into()));
        for bad in ["", "a b", "x;y", "$(x)", "`x`", "a\\nb"] {
            let patch = RecipePatch::parse(&format!("[version]\nexact = \"{bad}\"")).unwrap();
            assert!(patch.over(builtin("klipper").unwrap()).finish().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_fields_show_their_line() {
        let error = RecipePatch::parse("[build]\ngoal = ['x']").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("goal"), "{error}");
    }
}
