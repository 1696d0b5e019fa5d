//! Where a project's Kconfig files are, and what reading them takes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::environment::env_refused;
use crate::path::RelPath;

/// Longest prefix of symbols in bytes.
const PREFIX_MAX_B: usize = 32;

/// Where a project's Kconfig files are, and what reading them takes.
///
/// Paths are relative to the directory that commands run in, except in `paths`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KconfigRules {
    /// Who normalises configurations.
    pub configure: Configurer,
    /// The first Kconfig file.
    pub root: String,
    /// The tool whose rules hold.
    pub dialect: DialectName,
    /// What `autoconf.h` says about symbols that are off.
    pub header_off: HeaderOffName,
    /// What symbols begin with in configurations.
    pub prefix: String,
    /// The files that may be read: paths and globs of the source; empty means all source paths.
    pub paths: Vec<String>,
    /// Environment that the files may ask for; that of the build comes on top.
    pub env: BTreeMap<String, String>,
    /// What becomes of commands that the files ask for.
    pub shell: KconfigShell,
    /// Text of files that a script of the project writes, by path; they need not be in `paths`.
    pub generated: BTreeMap<String, String>,
}

/// Who normalises configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Configurer {
    /// kbs itself, from the Kconfig files.
    Kbs,
    /// The commands of the recipe.
    Project,
}

/// A tool by whose rules Kconfig files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialectName {
    /// Linux's own `conf`, as of 6.1.
    Conf,
    /// The copy of it in U-Boot.
    UBoot,
    /// The copy of it in `SeaBIOS`.
    Seabios,
    /// The copy of it in busybox.
    Busybox,
    /// kconfiglib.
    Kconfiglib,
}

/// What `autoconf.h` says about symbols that are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderOffName {
    /// Nothing.
    Left,
    /// That they are 0.
    Zero,
}

/// What becomes of commands that Kconfig files ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KconfigShell {
    /// They are refused, and the files with them.
    Refuse,
    /// They run in the sandbox, in the toolchain image, and see the files of `paths`.
    Run,
}

/// See [`KconfigRules`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KconfigPatch {
    /// See [`KconfigRules::configure`].
    pub configure: Option<Configurer>,
    /// See [`KconfigRules::root`].
    pub root: Option<String>,
    /// See [`KconfigRules::dialect`].
    pub dialect: Option<DialectName>,
    /// See [`KconfigRules::header_off`].
    pub header_off: Option<HeaderOffName>,
    /// See [`KconfigRules::prefix`].
    pub prefix: Option<String>,
    /// See [`KconfigRules::paths`].
    pub paths: Option<Vec<String>>,
    /// See [`KconfigRules::env`]; added name by name.
    pub env: BTreeMap<String, String>,
    /// See [`KconfigRules::shell`].
    pub shell: Option<KconfigShell>,
    /// See [`KconfigRules::generated`]; added path by path.
    pub generated: BTreeMap<String, String>,
}

impl KconfigPatch {
    /// These fields, with those of `base` where they say nothing.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        let Self { configure, root, dialect, header_off, prefix, paths, env, shell, generated } =
            self;
        let with = |mut all: BTreeMap<_, _>, mine: BTreeMap<_, _>| {
            all.extend(mine);
            all
        };
        Self {
            configure: configure.or(base.configure),
            root: root.or(base.root),
            dialect: dialect.or(base.dialect),
            header_off: header_off.or(base.header_off),
            prefix: prefix.or(base.prefix),
            paths: paths.or(base.paths),
            env: with(base.env, env),
            shell: shell.or(base.shell),
            generated: with(base.generated, generated),
        }
    }

    /// The rules, every field decided and checked; or which rule is broken.
    pub(crate) fn finish(self) -> Result<KconfigRules, String> {
        let Self { configure, root, dialect, header_off, prefix, paths, env, shell, generated } =
            self;
        let root = root.unwrap_or_else(|| "Kconfig".to_owned());
        let dialect = dialect.ok_or(
            "has a [kconfig] table without a dialect; give kconfig.dialect, such as conf or kconfiglib",
        )?;
        let prefix = prefix.unwrap_or_else(|| "CONFIG_".to_owned());
        if !is_prefix(&prefix) {
            return Err(format!(
                "has the kconfig.prefix {prefix:?}, which is not a letter and then letters, \
                 digits and `_`"
            ));
        }
        for path in generated.keys().chain([&root]) {
            RelPath::new(path.as_str())
                .map_err(|error| format!("has a wrong path in [kconfig]: {error}"))?;
        }
        if let Some(path) =
            generated.iter().find(|(_, text)| text.contains('\0')).map(|(path, _)| path)
        {
            return Err(format!("has a NUL byte in kconfig.generated of `{path}`"));
        }
        for (name, value) in &env {
            if let Some(reason) = env_refused(name, value) {
                return Err(format!("sets `{name}` in kconfig.env, which {reason}"));
            }
        }
        Ok(KconfigRules {
            configure: configure.unwrap_or(Configurer::Kbs),
            root,
            dialect,
            header_off: header_off.unwrap_or(HeaderOffName::Left),
            prefix,
            paths: paths.unwrap_or_default(),
            env,
            shell: shell.unwrap_or(KconfigShell::Refuse),
            generated,
        })
    }
}

/// Never empty: without a prefix, a line of a configuration could set any variable of make.
fn is_prefix(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= PREFIX_MAX_B
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Recipe, RecipeError, RecipePatch, builtin};

    fn finish(text: &str) -> Result<Recipe, RecipeError> {
        let base = "name = 'x'\n[collect]\nrequired = ['x']\n";
        RecipePatch::parse(&format!("{base}{text}")).and_then(RecipePatch::finish)
    }

    fn klipper_but(text: &str) -> Recipe {
        let patch = RecipePatch::parse(text).unwrap();
        patch.over(builtin("klipper").unwrap()).finish().unwrap()
    }

    #[test]
    fn a_dialect_is_all_that_the_engine_has_to_be_told() {
        let recipe = finish("[kconfig]\ndialect = 'conf'\n").unwrap();
        assert_eq!(recipe.configurer(), Configurer::Kbs);
        assert!(recipe.configure.unwrap().commands.is_empty());
        let rules = recipe.kconfig.unwrap();
        assert_eq!((rules.root.as_str(), rules.prefix.as_str()), ("Kconfig", "CONFIG_"));
        assert_eq!(rules.header_off, HeaderOffName::Left);
        assert_eq!(rules.shell, KconfigShell::Refuse);
    }

    #[test]
    fn without_kconfig_the_project_configures_itself_or_is_not_configured() {
        assert_eq!(finish("").unwrap().configurer(), Configurer::Project);
        assert!(finish("").unwrap().configure.is_none());
        let text = "[configure]\ncommands = [['true']]\n";
        assert_eq!(finish(text).unwrap().configurer(), Configurer::Project);
    }

    #[test]
    fn a_project_that_configures_itself_needs_commands() {
        let rules = "[kconfig]\ndialect = 'conf'\nconfigure = 'project'\n";
        for text in [rules, &format!("{rules}[configure]\nidentity = ['A']\n")] {
            let error = finish(text).unwrap_err().to_string();
            assert!(error.contains("configure.commands"), "{error}");
        }
        let recipe = finish(&format!("{rules}[configure]\ncommands = [['true']]\n")).unwrap();
        assert_eq!(recipe.configurer(), Configurer::Project);
    }

    #[test]
    fn who_configures_can_be_changed_alone() {
        assert_eq!(klipper_but("").configurer(), Configurer::Kbs);
        let recipe = klipper_but("[kconfig]\nconfigure = 'project'\n");
        assert_eq!(recipe.configurer(), Configurer::Project);
        assert_eq!(recipe.kconfig.unwrap().root, "src/Kconfig");
    }

    #[test]
    fn the_environment_of_the_build_is_seen_by_kconfig_files() {
        let recipe =
            klipper_but("[kconfig]\nenv = { A = '1', B = '1' }\n[build]\nenv = { B = '2' }");
        let env = recipe.kconfig_env();
        assert_eq!((env["A"].as_str(), env["B"].as_str()), ("1", "2"));
    }

    #[test]
    fn what_no_recipe_can_mean_is_refused_by_field() {
        for (line, told) in [
            ("prefix = ''", "kconfig.prefix"),
            ("prefix = '1_'", "kconfig.prefix"),
            ("prefix = 'A-'", "kconfig.prefix"),
            ("root = '/etc/passwd'", "[kconfig]"),
            ("root = 'a/../../b'", "[kconfig]"),
            ("generated = { '../x' = '' }", "[kconfig]"),
            ("generated = { x = \"\\u0000\" }", "kconfig.generated"),
            ("env = { PATH = '/' }", "kconfig.env"),
            ("env = { 'A B' = '1' }", "kconfig.env"),
        ] {
            let error = finish(&format!("[kconfig]\ndialect = 'conf'\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(told), "{line}: {error}");
        }
        let error = finish("[kconfig]\nroot = 'Kconfig'\n").unwrap_err().to_string();
        assert!(error.contains("kconfig.dialect"), "{error}");
        let error = finish("[kconfig]\ndialect = 'cml1'\n").unwrap_err().to_string();
        assert!(error.contains("cml1") && error.contains("line 5"), "{error}");
    }
}
