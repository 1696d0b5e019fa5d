//! Where somebody keeps a configuration, and what that looks like with another one in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kbs_kconfig::{Configuration, Kconfig, ValueKind};
use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

use super::text::ConfigText;
use crate::error::CliError;
use crate::spec::SpecArgs;

/// A file with a configuration.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// The file.
    pub(crate) path: PathBuf,
    /// How it has the configuration.
    pub(crate) form: Form,
}

/// How a file has a configuration.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Whole, as the project's tool writes it.
    Whole,
    /// As somebody wrote it, whole or a few lines: this text.
    Own(String),
    /// As [`Form::Own`], in `inline` of a spec.
    Inline(Box<DocumentMut>, String),
    /// By what `set` of a spec has on top of something else.
    Set(Box<DocumentMut>, SetOver),
}

/// What `set` of a spec stands on.
#[derive(Debug, Clone)]
pub(crate) struct SetOver {
    /// All that the spec asks for, `set` included.
    asked: String,
    /// Whether there is more than `set`.
    is_more: bool,
}

impl Home {
    /// Where the spec at `path` has its configuration; `asked` is all that it asks for.
    ///
    /// # Errors
    /// A spec that cannot be read.
    pub(crate) fn of_spec(path: &Path, asked: &ConfigText) -> Result<Self, CliError> {
        let args = SpecArgs::of(path);
        let (path, text) = args.file()?;
        let document: DocumentMut = text.parse().map_err(|error| {
            CliError::request(format!("cannot read the spec {}", path.display()), &error)
        })?;
        let config = args.read()?.config.unwrap_or_default();
        let is_more = config.base.is_some() || config.defconfig.is_some();
        let is_more = is_more || !config.fragments.is_empty();
        let named = |key| document.get("config")?.get(key)?.as_str();
        let form = match config.base {
            Some(base) if config.fragments.is_empty() && config.set.is_empty() => {
                if let Some(file) = named("file") {
                    let path = path.with_file_name(file);
                    return Ok(Self { path, form: Form::Own(base.text) });
                }
                Form::Inline(Box::new(document), base.text)
            }
            _ => Form::Set(Box::new(document), SetOver { asked: asked.text.clone(), is_more }),
        };
        Ok(Self { path, form })
    }

    /// What is written to `path` to have the configuration `now` there.
    pub(crate) fn text_at(&self, path: &Path, now: &Configuration<'_>, all: &Kconfig) -> String {
        if path == self.path { self.form.with(now, all) } else { now.to_dotconfig() }
    }

    /// The path of a file with nothing but a configuration.
    pub(crate) fn config_path(&self) -> PathBuf {
        match self.form {
            Form::Whole | Form::Own(_) => self.path.clone(),
            Form::Inline(..) | Form::Set(..) => self.path.with_extension("config"),
        }
    }

    /// Whether the project's tool would write `text`, which is `now`, in another way.
    pub(crate) fn is_stale(&self, now: &Configuration<'_>, text: &str) -> bool {
        matches!(self.form, Form::Whole) && now.to_dotconfig() != text
    }

    /// The whole text of the spec, if it is one.
    pub(crate) fn spec_text(&self) -> Option<String> {
        match &self.form {
            Form::Whole | Form::Own(_) => None,
            Form::Inline(document, _) | Form::Set(document, _) => Some(document.to_string()),
        }
    }

    /// What somebody should know who changes it.
    pub(crate) fn note(&self) -> Option<String> {
        let Form::Set(_, SetOver { is_more: true, .. }) = self.form else { return None };
        Some("what is changed goes to `set` of the spec, which wins over the rest of it".to_owned())
    }
}

impl Form {
    /// What the file becomes to have the configuration `now`. What is short stays short.
    pub(crate) fn with(&self, now: &Configuration<'_>, kconfig: &Kconfig) -> String {
        match self {
            Self::Whole => now.to_dotconfig(),
            Self::Own(text) => Lines { kconfig, now }.rewrite(text),
            Self::Inline(document, text) => {
                let text = Lines { kconfig, now }.rewrite(text);
                let mut document = document.clone();
                replace(&mut document["config"]["inline"], inline(&text));
                document.to_string()
            }
            Self::Set(document, over) => {
                let mut document = document.clone();
                over.change(&mut document["config"], now, kconfig);
                document.to_string()
            }
        }
    }
}

/// A configuration, to be written as lines.
struct Lines<'a, 'k> {
    kconfig: &'a Kconfig,
    now: &'a Configuration<'k>,
}

impl Lines<'_, '_> {
    /// `text` with the configuration in it: a whole one stays whole. Of a short one, the lines stay
    /// that hold, and so does what is no assignment.
    fn rewrite(&self, text: &str) -> String {
        let Self { kconfig, now } = self;
        let (whole, minimal) = (now.to_dotconfig(), now.to_minimal());
        let count = |text: &str| text.lines().filter(|line| self.symbol(line).is_some()).count();
        // Nearer to whole than to minimal: somebody's tool wrote it.
        if 2 * count(text) > count(&whole) + count(&minimal) {
            return whole;
        }
        let by_symbol = |text| -> BTreeMap<&str, &str> {
            let lines = str::lines(text).filter_map(|line| Some((self.symbol(line)?, line)));
            lines.collect()
        };
        let (holding, mut missing) = (by_symbol(&whole), by_symbol(&minimal));
        let mut lines = Vec::new();
        for line in text.lines() {
            match self.symbol(line) {
                None => lines.push(line),
                Some(symbol) => match missing.remove(symbol) {
                    Some(needed) => lines.push(needed),
                    None if holding.get(symbol) == Some(&line)
                        && is_asked(now, kconfig, symbol) =>
                    {
                        lines.push(line);
                    }
                    None => {}
                },
            }
        }
        let is_missing =
            |line: &&str| self.symbol(line).is_some_and(|symbol| missing.contains_key(symbol));
        lines.extend(minimal.lines().filter(is_missing));
        let rewritten: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let mut again = kconfig.evaluate();
        again.load(&rewritten);
        if again.to_dotconfig() == whole { rewritten } else { minimal }
    }

    /// The symbol that a line is about.
    fn symbol<'t>(&self, line: &'t str) -> Option<&'t str> {
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let named = unset.or_else(|| Some(line.split_once('=')?.0))?;
        let bare = self.kconfig.bare(named);
        (bare.len() < named.len()).then_some(bare)
    }
}

impl SetOver {
    /// Changes `set` in the table `config` so that the spec asks for `now`.
    fn change(&self, config: &mut Item, now: &Configuration<'_>, kconfig: &Kconfig) {
        let mut before = kconfig.evaluate();
        before.load(&self.asked);
        let Some(config) = config.as_table_like_mut() else { return };
        let bare = |symbol: &str| symbol.strip_prefix("CONFIG_").unwrap_or(symbol).to_owned();
        let set = config.get("set").and_then(Item::as_table_like);
        let keys: Vec<String> =
            set.map(|set| set.iter().map(|(key, _)| key.to_owned()).collect()).unwrap_or_default();
        let apart = now.set_apart();
        // Where nothing else is asked for, it comes about by itself.
        let is_over = |symbol: &str| {
            let is_changed = before.value(symbol) != now.value(symbol);
            let is_known = now.value(symbol).is_some();
            let is_open = is_changed || !is_asked(now, kconfig, symbol);
            !self.is_more && is_known && is_open && !apart.contains(&symbol)
        };
        let kept: BTreeSet<String> =
            keys.iter().map(|key| bare(key)).filter(|symbol| !is_over(symbol)).collect();
        let wanted = self.wanted(kept, now, kconfig);
        if wanted.is_empty() && set.is_none() {
            return;
        }
        let set = config.entry("set").or_insert_with(|| Item::Value(InlineTable::new().into()));
        let Some(set) = set.as_table_like_mut() else { return };
        for key in &keys {
            let symbol = bare(key);
            if is_over(&symbol) {
                set.remove(key);
            } else if before.value(&symbol) != now.value(&symbol)
                && let Some(value) = spelled(now, kconfig, &symbol)
                && let Some(item) = set.get_mut(key)
            {
                replace(item, value);
            }
        }
        let has = |symbol: &String| keys.iter().any(|key| bare(key) == **symbol);
        for symbol in wanted.iter().filter(|symbol| !has(symbol)) {
            if let Some(value) = spelled(now, kconfig, symbol) {
                append(set, symbol, value);
            }
        }
    }

    /// The symbols that have to be set for `now`, with the values that they have there, on top of
    /// the rest: `kept` and as few others as will do.
    fn wanted(
        &self,
        kept: BTreeSet<String>,
        now: &Configuration<'_>,
        kconfig: &Kconfig,
    ) -> BTreeSet<String> {
        let lines = Lines { kconfig, now };
        let whole = now.to_dotconfig();
        let rest = if self.is_more { self.asked.as_str() } else { "" };
        let mut wanted = kept;
        loop {
            let is_wanted =
                |line: &&str| lines.symbol(line).is_some_and(|symbol| wanted.contains(symbol));
            let below = rest.lines().filter(|line| !is_wanted(line));
            let text: Vec<&str> = below.chain(whole.lines().filter(is_wanted)).collect();
            let mut comes = kconfig.evaluate();
            comes.load(&text.join("\n"));
            let apart: BTreeSet<&str> =
                comes.set_apart().into_iter().chain(now.set_apart()).collect();
            let differs = |symbol: &&str| comes.value(symbol) != now.value(symbol);
            let before = wanted.len();
            wanted.extend(apart.into_iter().filter(differs).map(str::to_owned));
            if wanted.len() == before {
                return wanted;
            }
        }
    }
}

/// Whether somebody asked for the value of a symbol.
fn is_asked(now: &Configuration<'_>, kconfig: &Kconfig, symbol: &str) -> bool {
    kconfig.entries_of(symbol).first().is_some_and(|id| now.setting(*id).by_user)
}

/// Puts `value` in the place of another one, and leaves what stands around it.
fn replace(item: &mut Item, mut value: Value) {
    if let Some(before) = item.as_value() {
        *value.decor_mut() = before.decor().clone();
    }
    *item = Item::Value(value);
}

/// Puts a value at the end of a table. In `{ A = 1 }`, the blank before the `}` stays there.
fn append(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter_mut().last().and_then(|(_, item)| item.as_value_mut());
    if let Some(decor) = last.map(Value::decor_mut)
        && let Some(blank) = decor.suffix().and_then(|text| text.as_str())
        && !blank.is_empty()
        && blank.trim().is_empty()
    {
        value.decor_mut().set_prefix(" ");
        value.decor_mut().set_suffix(blank);
        decor.set_suffix("");
    }
    table.insert(key, Item::Value(value));
}

/// The value of a symbol as `set` of a spec has it, if the project defines the symbol.
fn spelled(now: &Configuration<'_>, kconfig: &Kconfig, symbol: &str) -> Option<Value> {
    let value = now.value(symbol)?;
    let kind = kconfig.entries_of(symbol).first().and_then(|id| kconfig.entry(*id).value);
    let number = value.parse::<i64>().ok().filter(|number| number.to_string() == value);
    Some(match (kind, &*value, number) {
        (Some(ValueKind::Bool | ValueKind::Tristate), "y", _) => true.into(),
        (Some(ValueKind::Bool | ValueKind::Tristate), "n", _) => false.into(),
        (Some(ValueKind::Int), _, Some(number)) => number.into(),
        // Without it, a text would be meant.
        (Some(ValueKind::Hex), digits, _) if !digits.starts_with("0x") => {
            format!("0x{digits}").into()
        }
        // Without quotes of its own, something else would be.
        (Some(ValueKind::Text), text, _)
            if matches!(text, "y" | "m" | "n")
                || text.starts_with("0x")
                || text.starts_with('"') =>
        {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).into()
        }
        (_, text, _) => text.into(),
    })
}

/// The text of a configuration as `inline` of a spec has it.
fn inline(text: &str) -> Value {
    let line = text.trim_end_matches('\n');
    let written = if line.contains('\n') { format!("'''\n{text}'''") } else { format!("'{line}'") };
    // Quotes inside are nothing for literal strings.
    let read = written
        .parse::<Value>()
        .ok()
        .filter(|value| value.as_str().is_some_and(|read| read.trim_end_matches('\n') == line));
    read.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbs_kconfig::{Assignments, Dialect, FileMap, NoShell, Notation};
    use kbs_plan::spec::{ConfigAsk, Spec};

    const PROJECT: &str = "choice\n prompt \"Speed\"\nconfig SLOW\n bool \"Slow\"\n\
        config FAST\n bool \"Fast\"\nconfig FASTER\n bool \"Faster\"\nendchoice\n\
        config NET\n bool \"Net\"\n default y if FAST\n\
        config PORT\n int \"Port\"\n range 1 100\n default 8\n depends on NET\n\
        config BASE\n hex \"Base\"\n default 0x10\n\
        config NAME\n string \"Name\"\n default \"y\"\n\
        config CHIP\n string\n default \"f\" if FAST\n default \"s\"\n";
    const VALUES: [(&str, &str); 14] = [
        ("SLOW", "y"),
        ("FAST", "y"),
        ("FASTER", "y"),
        ("NET", "y"),
        ("NET", "n"),
        ("PORT", "8"),
        ("PORT", "99"),
        ("BASE", "0x10"),
        ("BASE", "0x1F"),
        ("NAME", "y"),
        ("NAME", "0x1"),
        ("NAME", "a \"b\" \\"),
        ("NAME", ""),
        ("NAME", "it's"),
    ];

    fn kconfig(dialect: Dialect) -> Kconfig {
        let files: FileMap = [("Kconfig", PROJECT)].into_iter().collect();
        Kconfig::load("Kconfig", &files, dialect, &BTreeMap::new(), &NoShell).unwrap()
    }

    fn ask(spec: &str) -> ConfigAsk {
        let read = |_: &str| Ok("CONFIG_FASTER=y\nCONFIG_PORT=7\n".to_owned());
        Spec::read(spec, &read, &str::to_owned)
            .unwrap_or_else(|e| panic!("{e}:\n{spec}"))
            .config
            .unwrap()
    }

    /// All that a spec asks for, as a daemon would put it together.
    fn asked(ConfigAsk { base, fragments, set, .. }: ConfigAsk) -> String {
        let lines = set.iter().map(|(symbol, value)| format!("CONFIG_{symbol}={value}\n"));
        let texts = base.into_iter().chain(fragments).map(|text| text.text);
        let mut all = Assignments::default();
        for text in texts.chain([lines.collect()]) {
            all.merge(kbs_kconfig::parse(&text, "x", &Notation::default()).unwrap().assignments);
        }
        all.to_text()
    }

    #[test]
    fn whatever_is_changed_is_what_the_saved_spec_asks_for() {
        let mut seed = 3_usize;
        let mut any = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let head = "[project]\nrecipe = 'klipper'\ngit = '/x'\nrev = 'v1'\n[config]\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spec.toml");
        std::fs::write(dir.path().join("f"), "CONFIG_FASTER=y\nCONFIG_PORT=7\n").unwrap();
        for (dialect, table) in
            [Dialect::CONF, Dialect::KCONFIGLIB].into_iter().flat_map(|dialect| {
                let tables = [
                    "inline = 'CONFIG_FAST=y' # here",
                    "inline = '''\n# why\nCONFIG_PORT=9\nCONFIG_GONE=y\n'''",
                    "set = { FAST = true, NAME = 'x' }",
                    "[config.set]\nSLOW = true # because",
                    "file = 'f'\nset.NAME = 'x'",
                    "fragments = ['f']",
                ];
                tables.map(|table| (dialect, table))
            })
        {
            let kconfig = kconfig(dialect);
            for _ in 0..12 {
                let spec = format!("{head}{table}\n[toolchain]\nimage = 'x' # last\n");
                std::fs::write(&path, &spec).unwrap();
                let config = ConfigText { text: asked(ask(&spec)), ..ConfigText::default() };
                let home = Home::of_spec(&path, &config).unwrap();
                let mut now = kconfig.evaluate();
                now.load(&config.text);
                for _ in 0..any(5) {
                    let (symbol, value) = VALUES[any(VALUES.len())];
                    let entry = kconfig.entries_of(symbol)[0];
                    if any(4) == 0 {
                        now.forget(entry);
                    } else {
                        now.set_asked(entry, value).ok();
                    }
                }
                let saved = home.text_at(&home.path, &now, &kconfig);
                assert!(saved.ends_with("\n[toolchain]\nimage = 'x' # last\n"), "{saved}");
                let mut again = kconfig.evaluate();
                again.load(&asked(ask(&saved)));
                assert_eq!(again.to_dotconfig(), now.to_dotconfig(), "{table}\n{saved}");
            }
        }
    }
}
