//! What a person asks for: `spec.toml`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::environment::env_refused;
use crate::error::{Class, Help};
use crate::limits::Limits;
use crate::recipe::{self, BuildPatch, Recipe, RecipeError, RecipePatch, VersionPatch};

/// The newest spec format this version reads.
pub const SPEC_FORMAT: u32 = 1;

/// The origin of text that stands in `inline` of a spec.
pub const INLINE: &str = "inline";
/// The origin of symbols that stand in `set` of a spec.
pub const SET: &str = "config.set";

/// A spec whose files have been read: complete in itself, so that it can be sent to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Name of a built-in recipe; `None` where `recipe` is one of its own.
    pub builtin: Option<String>,
    /// Changes to that recipe, or the whole one.
    pub recipe: RecipePatch,
    /// Where the source comes from.
    pub source: SourceAsk,
    /// Tag, branch or commit as asked.
    pub rev: String,
    /// The configuration, `None` where the project has none.
    pub config: Option<ConfigAsk>,
    /// Which image to build in.
    pub toolchain: ToolchainAsk,
    /// Environment on top of the recipe's.
    pub env: BTreeMap<String, String>,
    /// Limits of this build.
    pub limits: Limits,
}

/// Where the source comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceAsk {
    /// An absolute path or a URL of a git repository.
    Git(String),
    /// A source added before, by name.
    Named(String),
}

/// A configuration as asked: a base, then fragments, then single symbols; later ones win.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigAsk {
    /// A whole configuration, or a start of one.
    pub base: Option<ConfigText>,
    /// Name of a configuration in the project's tree, used as the base.
    pub defconfig: Option<String>,
    /// Further texts, in order.
    pub fragments: Vec<ConfigText>,
    /// Single symbols, without `CONFIG_`, spelled as in a configuration file.
    pub set: BTreeMap<String, String>,
    /// Symbols whose change by the project's configure step is accepted.
    pub accept_drift: Vec<String>,
}

/// Configuration text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// File name or [`INLINE`], for messages.
    pub origin: String,
    /// The text.
    pub text: String,
}

/// Which image to build in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolchainAsk {
    /// Where it comes from.
    pub image: ImageAsk,
    /// The digest it must have, `sha256:…`.
    pub digest: Option<String>,
}

/// Where a toolchain image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageAsk {
    /// A snapshot of the daemon's host, made when first needed.
    Host,
    /// A name given at import, or a digest.
    Named(String),
    /// An OCI layout directory or an archive, absolute.
    Path(String),
}

/// A spec cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The TOML is malformed, or has a field that no spec has.
    #[error("cannot read the spec\n{detail}")]
    Syntax {
        /// The TOML reader's message with the line.
        detail: String,
    },
    /// A field is missing, or two contradict each other.
    #[error("the spec is incomplete: {reason}")]
    Rule {
        /// Which rule is broken.
        reason: String,
    },
    /// A file that the spec names could not be read.
    #[error("cannot read {what} `{path}` that the spec names")]
    File {
        /// What it is: `the configuration`, `a fragment`.
        what: &'static str,
        /// As written in the spec.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

impl Help for SpecError {
    fn class(&self) -> Class {
        match self {
            Self::Recipe(error) => error.class(),
            Self::Syntax { .. } | Self::Rule { .. } | Self::File { .. } => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Recipe(error) => error.help(),
            Self::File { .. } => Some("paths in a spec are relative to the spec".to_owned()),
            Self::Syntax { .. } | Self::Rule { .. } => None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SpecFile {
    format: Option<u32>,
    project: ProjectTable,
    config: Option<ConfigTable>,
    #[serde(default)]
    toolchain: ToolchainTable,
    #[serde(default)]
    version: VersionPatch,
    #[serde(default)]
    make: MakeTable,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    recipe: RecipePatch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProjectTable {
    recipe: Option<String>,
    git: Option<String>,
    source: Option<String>,
    rev: String,
    submodules: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[derive(Default)]
struct ConfigTable {
    file: Option<String>,
    inline: Option<String>,
    defconfig: Option<String>,
    fragments: Vec<String>,
    set: Option<BTreeMap<String, SetValue>>,
    accept_drift: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SetValue {
    Flag(bool),
    Number(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ToolchainTable {
    image: String,
    digest: Option<String>,
}

impl Default for ToolchainTable {
    fn default() -> Self {
        Self { image: "host".to_owned(), digest: None }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct MakeTable {
    args: Option<Vec<String>>,
    goals: Option<Vec<String>>,
}

/// Words that a later format will give a meaning; a spec that uses one is for a newer kbs.
const RESERVED: &[&str] = &["build", "matrix", "channel", "channels", "inputs", "depends-on"];

/// Reads the files that a spec names: what it is, and its path as written.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

impl Spec {
    /// Reads a spec and the files it names; paths stay as written, `absolute` completes the ones
    /// that a daemon will open.
    ///
    /// # Errors
    /// [`SpecError`]; a malformed spec shows the line.
    pub fn read(
        text: &str,
        read_file: ReadFile<'_>,
        absolute: &dyn Fn(&str) -> String,
    ) -> Result<Self, SpecError> {
        let file: SpecFile = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let SpecFile { format, project, config, toolchain, version, make, env, limits, recipe } =
            file;
        if let Some(format) = format.filter(|format| *format != SPEC_FORMAT) {
            return Err(rule(format!("it is of format {format}, this kbs reads {SPEC_FORMAT}")));
        }
        let ProjectTable { recipe: builtin, git, source, rev, submodules } = project;
        if builtin.is_none() && recipe.name.is_none() {
            return Err(rule("give project.recipe, or a [recipe] table with a name"));
        }
        if rev.trim().is_empty() {
            return Err(rule("project.rev is empty; give a tag, a branch or a commit"));
        }
        let mut sugar = RecipePatch {
            version,
            build: BuildPatch { args: make.args, goals: make.goals, ..BuildPatch::default() },
            ..RecipePatch::default()
        };
        sugar.source.submodules = submodules;
        let spec = Self {
            builtin,
            recipe: sugar.over(recipe),
            source: source_ask(git, source, absolute)?,
            rev,
            config: config.map(|table| config_ask(table, read_file)).transpose()?,
            toolchain: toolchain_ask(toolchain, absolute),
            env,
            limits,
        };
        spec.resolve_recipe()?;
        Ok(spec)
    }

    /// The recipe this spec means, its environment included, checked against the rest of the spec.
    ///
    /// # Errors
    /// [`SpecError::Recipe`], or [`SpecError::Rule`] where spec and recipe contradict each other.
    pub fn resolve_recipe(&self) -> Result<Recipe, SpecError> {
        let base = self.builtin.as_deref().map_or(Ok(RecipePatch::default()), recipe::builtin)?;
        let mut recipe = self.recipe.clone().over(base).finish()?;
        for (name, value) in &self.env {
            check_env(name, value, &recipe)?;
            recipe.build.env.insert(name.clone(), value.clone());
        }
        match (&recipe.configure, &self.config) {
            (Some(_), None) => Err(rule(format!(
                "{} needs a configuration; add [config] with file, inline, defconfig or set",
                recipe.name
            ))),
            (None, Some(_)) => Err(rule(format!(
                "the recipe {} configures nothing, so [config] would be ignored",
                recipe.name
            ))),
            _ => Ok(recipe),
        }
    }
}

fn rule(reason: impl Into<String>) -> SpecError {
    SpecError::Rule { reason: reason.into() }
}

fn syntax(text: &str, error: &toml::de::Error) -> SpecError {
    let mut detail = error.to_string();
    let word = error.span().and_then(|Range { start, end }| text.get(start..end));
    if let Some(word) = word.filter(|word| RESERVED.contains(word)) {
        detail.push('`');
        detail.push_str(word);
        detail.push_str("` is reserved for a later spec format");
    }
    SpecError::Syntax { detail: detail.trim_end().to_owned() }
}

fn source_ask(
    git: Option<String>,
    source: Option<String>,
    absolute: &dyn Fn(&str) -> String,
) -> Result<SourceAsk, SpecError> {
    match (git, source) {
        (Some(git), None) if git.contains("://") || is_scp_like(&git) => Ok(SourceAsk::Git(git)),
        (Some(git), None) if !git.is_empty() => Ok(SourceAsk::Git(absolute(&git))),
        (None, Some(name)) => Ok(SourceAsk::Named(name)),
        _ => Err(rule(
            "give either project.git (a path or a URL) or project.source (a name of `kbs source ls`)",
        )),
    }
}

/// `user@host:path`, as ssh remotes are often written.
fn is_scp_like(git: &str) -> bool {
    git.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'))
}

fn config_ask(table: ConfigTable, read_file: ReadFile<'_>) -> Result<ConfigAsk, SpecError> {
    let ConfigTable { file, inline, defconfig, fragments, set, accept_drift } = table;
    let bases = usize::from(file.is_some()) + usize::from(inline.is_some());
    if bases + usize::from(defconfig.is_some()) > 1 {
        return Err(rule("give only one of config.file, config.inline and config.defconfig"));
    }
    if bases == 0 && defconfig.is_none() && fragments.is_empty() && set.is_none() {
        return Err(rule("[config] is empty; give file, inline, defconfig, fragments or set"));
    }
    let open = |what, path: String| match read_file(&path) {
        Ok(text) => Ok(ConfigText { origin: path, text }),
        Err(source) => Err(SpecError::File { what, path, source }),
    };
    let base = match (file, inline) {
        (Some(path), _) => Some(open("the configuration", path)?),
        (None, Some(text)) => Some(ConfigText { origin: INLINE.to_owned(), text }),
        (None, None) => None,
    };
    Ok(ConfigAsk {
        base,
        defconfig,
        fragments: fragments
            .into_iter()
            .map(|path| open("a fragment", path))
            .collect::<Result<_, _>>()?,
        set: set
            .into_iter()
            .flatten()
            .map(|(symbol, value)| set_symbol(&symbol, value))
            .collect::<Result<_, _>>()?,
        accept_drift: accept_drift.into_iter().map(|symbol| bare(&symbol)).collect(),
    })
}

fn bare(symbol: &str) -> String {
    symbol.strip_prefix("CONFIG_").unwrap_or(symbol).to_owned()
}

/// Spells a value of `set` as a configuration file does: `true` is y, `"m"`, `"0x10"` and text in
/// quotes of its own are taken as they are, other text is quoted.
fn set_symbol(symbol: &str, value: SetValue) -> Result<(String, String), SpecError> {
    let symbol = bare(symbol);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if symbol.is_empty() || symbol.starts_with(['-', '.']) || !symbol.bytes().all(plain) {
        return Err(rule(format!("config.set has `{symbol}`, which cannot be a symbol")));
    }
    let is_hex = |text: &str| {
        text.strip_prefix("0x").is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    let text = match value {
        SetValue::Flag(flag) => if flag { "y" } else { "n" }.to_owned(),
        SetValue::Number(number) => number.to_string(),
        SetValue::Text(text) if matches!(text.as_str(), "y" | "m" | "n") || is_hex(&text) => text,
        SetValue::Text(text) if text.contains(['\n', '\r', '\0']) => {
            return Err(rule(format!("config.set.{symbol} has a line break")));
        }
        SetValue::Text(text) if is_quoted(&text) => text,
        SetValue::Text(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    Ok((symbol, text))
}

/// Whether it is text in double quotes, as a configuration file has it.
fn is_quoted(text: &str) -> bool {
    let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = inside.map(|inside| inside.replace("\\\\", "").replace("\\\"", ""));
    plain.is_some_and(|plain| !plain.contains(['"', '\\']))
}

fn toolchain_ask(table: ToolchainTable, absolute: &dyn Fn(&str) -> String) -> ToolchainAsk {
    let ToolchainTable { image, digest } = table;
    let is_path = image.contains('/')
        || std::path::Path::new(&image).extension().is_some_and(|ext| ext == "tar");
    let (image, pinned) = match image.split_once('@') {
        Some((name, digest)) if !is_path => (name.to_owned(), Some(digest.to_owned())),
        _ => (image, None),
    };
    let image = match image.as_str() {
        "host" => ImageAsk::Host,
        path if is_path => ImageAsk::Path(absolute(path)),
        _ => ImageAsk::Named(image),
    };
    ToolchainAsk { image, digest: digest.or(pinned) }
}

fn check_env(name: &str, value: &str, recipe: &Recipe) -> Result<(), SpecError> {
    if let Some(reason) = env_refused(name, value) {
        return Err(rule(format!("env.{name} {reason}")));
    }
    let allowed = |pattern: &String| match pattern.split_once('*') {
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
        None => pattern == name,
    };
    if recipe.build.env_allowed.iter().any(allowed) {
        return Ok(());
    }
    Err(rule(format!(
        "the recipe {} does not let a spec set env.{name}; add it to recipe.build.env-allowed",
        recipe.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Spec, SpecError> {
        let files = |path: &str| match path {
            "skr.config" => Ok("CONFIG_MACH_STM32=y\n".to_owned()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        Spec::read(text, &files, &|path| format!("/home/me/{path}"))
    }

    const PRINTER: &str = r#"
[project]
recipe = "klipper"
git = "klipper.git"
rev = "v0.13.0"
[config]
file = "skr.config"
[toolchain]
image = "arm"
"#;

    #[test]
    fn the_short_form_is_enough() {
        let spec = read(PRINTER).unwrap();
        assert_eq!(spec.source, SourceAsk::Git("/home/me/klipper.git".into()));
        assert_eq!(spec.toolchain.image, ImageAsk::Named("arm".into()));
        assert_eq!(spec.config.unwrap().base.unwrap().origin, "skr.config");
    }

    #[test]
    fn a_mistyped_field_shows_its_line() {
        let error = read(&PRINTER.replace("rev =", "revision =")).unwrap_err();
        assert_eq!(error.class(), Class::User);
        let text = error.to_string();
        assert!(text.contains("line 5") && text.contains("revision"), "{text}");
    }

    #[test]
    fn words_of_later_formats_say_so() {
        let text = read(&format!("{PRINTER}\n[[build]]\nname = 'x'")).unwrap_err().to_string();
        assert!(text.contains("later spec format"), "{text}");
        let text = read(&format!("format = 2\n{PRINTER}")).unwrap_err().to_string();
        assert!(text.contains("format 2"), "{text}");
    }

    #[test]
    fn what_contradicts_or_is_missing_is_refused() {
        let cases = [
            (PRINTER.replace("file = \"skr.config\"", ""), "empty"),
            (PRINTER.replace("file = \"skr.config\"", "file = 'a'\ninline = 'b'"), "only one"),
            (PRINTER.replace("git = \"klipper.git\"", ""), "project.git"),
            (PRINTER.replace("[config]\nfile = \"skr.config\"", ""), "needs a configuration"),
            (PRINTER.replace("skr.config", "nope.config"), "nope.config"),
            (PRINTER.replace("\"klipper\"", "\"kliper\""), "no recipe `kliper`"),
            (format!("{PRINTER}[env]\nLD_PRELOAD = 'x'"), "LD_PRELOAD"),
            (format!("{PRINTER}[env]\nFOO = 'x'"), "env-allowed"),
        ];
        for (text, expected) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn single_symbols_are_spelled_as_in_a_configuration() {
        let text = PRINTER.replace(
            "file = \"skr.config\"",
            "set = { CONFIG_A = true, B = false, C = 7, D = 'm', E = '0x1F', F = 'say \"hi\"', \
             G = '\"y\"', H = '\"a\" or \"b\"' }",
        );
        let set = read(&text).unwrap().config.unwrap().set;
        let spelled: Vec<_> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(spelled[..5], ["A=y", "B=n", "C=7", "D=m", "E=0x1F"]);
        let texts = [r#"F="say \"hi\"""#, r#"G="y""#, r#"H="\"a\" or \"b\"""#];
        assert_eq!(spelled[5..], texts);
    }

    #[test]
    fn symbols_have_the_names_that_kconfig_files_give_them() {
        let set = |symbol: &str| {
            let table = format!("set = {{ \"{symbol}\" = true }}");
            read(&PRINTER.replace("file = \"skr.config\"", &table)).is_ok()
        };
        assert!(["A", "64BIT", "kmod-usb2", "lua5.3"].into_iter().all(set));
        assert!(!["", "-A", ".A", "A B", "A=", "$(A)"].into_iter().any(set));
    }

    #[test]
    fn who_sets_nothing_says_so() {
        let text = PRINTER.replace("file = \"skr.config\"", "set = {}");
        assert_eq!(read(&text).unwrap().config.unwrap(), ConfigAsk::default());
    }

    #[test]
    fn a_project_may_bring_its_recipe() {
        let text = "[project]\ngit='/x'\nrev='main'\n[recipe]\nname='mine'\n\
                    [recipe.collect]\nrequired=['*.bin']\n";
        assert_eq!(read(text).unwrap().resolve_recipe().unwrap().name, "mine");
        assert!(read(&text.replace("name='mine'\n", "")).is_err());
    }

    #[test]
    fn a_pinned_image_keeps_its_digest() {
        let spec = read(&PRINTER.replace("\"arm\"", "\"arm@sha256:00\"")).unwrap();
        assert_eq!(spec.toolchain.digest.as_deref(), Some("sha256:00"));
    }
}
