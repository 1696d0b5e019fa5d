//! From a configuration as asked to the normalised one, by the project's own configure step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kbs_kconfig::{Assignments, Change, Definition, Pattern, Prefix, Suggestion, Symbol};
use kbs_plan::derivation::SANDBOX_CONTRACT;
use kbs_plan::id::{ConfigHash, ConfigureKey};
use kbs_plan::recipe::{ConfigureRules, Recipe};
use kbs_plan::spec::{ConfigAsk, ConfigText};
use kbs_sandbox::{JailFile, JailPath, JailSpec, Limits, Outcome, Scratch, Step};
use kbs_source::{Item, ItemKind, Selection, Submodules};
use serde::Serialize;

use super::image::Toolchain;
use super::pin::{Pinned, patterns};
use crate::contract;
use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::{EngineError, Problem};

/// A normalised configuration.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    /// What is hashed and handed to the build.
    pub(crate) text: String,
    /// Its hash.
    pub(crate) hash: ConfigHash,
    /// What normalising changed and the person should know.
    pub(crate) warnings: Vec<String>,
}

/// Normalises the configuration of a spec.
pub(crate) fn configure(
    engine: &Engine,
    (recipe, rules): (&Recipe, &ConfigureRules),
    ask: &ConfigAsk,
    pinned: &Pinned,
    toolchain: &Toolchain,
    watch: &Watch,
) -> Result<Configured, Problem> {
    let (asked, mut warnings) = merge(engine, rules, ask, pinned)?;
    let paths = if rules.paths.is_empty() { &recipe.source.paths } else { &rules.paths };
    let selection = engine.mirror.select(pinned.commit, &patterns(paths)?, Submodules::Ignore)?;
    let key = configure_key(recipe, rules, &selection, &asked, toolchain);
    let text = match engine.store.configured(key)? {
        Some(text) => text,
        None => {
            let _guard = engine.configuring.hold(&key);
            match engine.store.configured(key)? {
                Some(text) => text,
                None => watch.phase("configure", recipe.name.clone(), || {
                    let text = normalise(engine, recipe, rules, &selection, &asked, toolchain)?;
                    engine.store.remember_configured(key, text.as_bytes())?;
                    Ok(text.into_bytes())
                })?,
            }
        }
    };
    let text = String::from_utf8(text).map_err(|error| EngineError::NoConfiguration {
        project: recipe.name.clone(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })?;
    let normalised = parse(&text, ".config")?.0;
    warnings.extend(compare(engine, rules, ask, &asked, &normalised, pinned, &selection)?);
    Ok(Configured { hash: ConfigHash::of(text.as_bytes()), text, warnings })
}

/// Everything asked for, as one configuration; also says which lines had no effect.
fn merge(
    engine: &Engine,
    rules: &ConfigureRules,
    ask: &ConfigAsk,
    pinned: &Pinned,
) -> Result<(Assignments, Vec<String>), Problem> {
    let ConfigAsk { base, defconfig, fragments, set, accept_drift: _ } = ask;
    let mut warnings = Vec::new();
    let mut asked = Assignments::default();
    let named = defconfig.as_deref().map(|name| read_defconfig(engine, rules, name, pinned));
    let named = named.transpose()?;
    for ConfigText { origin, text } in base.iter().chain(named.iter()).chain(fragments) {
        let (assignments, ignored) = parse(text, origin)?;
        warnings.extend(ignored);
        asked.merge(assignments);
    }
    let single: String =
        set.iter().map(|(symbol, value)| format!("CONFIG_{symbol}={value}\n")).collect();
    let (single, ignored) = parse(&single, "config.set")?;
    warnings.extend(ignored);
    asked.merge(single);
    Ok((asked, warnings))
}

fn parse(text: &str, origin: &str) -> Result<(Assignments, Vec<String>), EngineError> {
    let reading = kbs_kconfig::parse(text, origin, &Prefix::default())
        .map_err(|source| EngineError::Config { source })?;
    let mut warnings: Vec<_> = reading
        .ignored
        .iter()
        .map(|line| {
            format!(
                "{origin}, line {}: not an assignment, without effect: {}",
                line.line, line.text
            )
        })
        .collect();
    if reading.ignored_total > warnings.len() {
        warnings.push(format!("{origin}: {} lines without effect in all", reading.ignored_total));
    }
    Ok((reading.assignments, warnings))
}

fn read_defconfig(
    engine: &Engine,
    rules: &ConfigureRules,
    name: &str,
    pinned: &Pinned,
) -> Result<ConfigText, Problem> {
    let is_file = |kind: &ItemKind| matches!(kind, ItemKind::File { .. });
    let plain =
        !name.is_empty() && !name.contains(['*', '?', '[', '{', '\\']) && !name.starts_with('/');
    for place in rules.defconfigs.iter().filter(|_| plain) {
        let path = place.replace("{}", name);
        let selection =
            engine.mirror.select(pinned.commit, &patterns(&[path])?, Submodules::Ignore)?;
        for Item { path, kind } in &selection.items {
            if let ItemKind::File { oid, .. } = kind {
                let text = String::from_utf8_lossy(&engine.mirror.read(*oid)?).into_owned();
                return Ok(ConfigText { origin: path.to_string(), text });
            }
        }
    }
    let all: Vec<_> = rules.defconfigs.iter().map(|place| place.replace("{}", "*")).collect();
    let mut known = Vec::new();
    if !all.is_empty() {
        let found = engine.mirror.select(pinned.commit, &patterns(&all)?, Submodules::Ignore)?;
        known.extend(
            found.items.iter().filter(|item| is_file(&item.kind)).map(|i| i.path.to_string()),
        );
    }
    let help = if known.is_empty() {
        "this project names no defconfigs; give config.file or config.inline".to_owned()
    } else {
        let shown: Vec<_> = known.iter().take(60).map(String::as_str).collect();
        format!("choose one of {}", shown.join(", "))
    };
    let commit = pinned.commit.to_string();
    Err(EngineError::Defconfig { name: name.to_owned(), commit, help }.into())
}

#[derive(Serialize)]
struct ConfigureInputs<'a> {
    contract: u32,
    commands: &'a [Vec<String>],
    subdir: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
    selection: String,
    asked: String,
    toolchain: String,
}

fn configure_key(
    recipe: &Recipe,
    rules: &ConfigureRules,
    selection: &Selection,
    asked: &Assignments,
    toolchain: &Toolchain,
) -> ConfigureKey {
    let inputs = ConfigureInputs {
        contract: SANDBOX_CONTRACT,
        commands: &rules.commands,
        subdir: recipe.build.subdir.as_deref(),
        env: &recipe.build.env,
        selection: selection.id.to_string(),
        asked: asked.to_text(),
        toolchain: toolchain.digest.to_string(),
    };
    let document = serde_json::to_vec(&inputs).expect("text and lists of text");
    ConfigureKey::of(&document)
}

/// Runs the configure step in a jail that holds only what it reads, and takes its `.config`.
///
/// What it is given is written anew from assignments, so nothing else of the person's file can
/// reach a make that includes it.
fn normalise(
    engine: &Engine,
    recipe: &Recipe,
    rules: &ConfigureRules,
    selection: &Selection,
    asked: &Assignments,
    toolchain: &Toolchain,
) -> Result<String, Problem> {
    let source = super::ingest::ingest(engine, selection)?;
    let work_dir = contract::work_dir(recipe.build.subdir.as_deref());
    let inside = |path: &str| JailPath::new(path).expect("a constant below /build");
    let spec = JailSpec {
        root: toolchain.rootfs.clone(),
        source: Some(source),
        inputs: Vec::new(),
        files: vec![JailFile {
            path: inside(&format!("{work_dir}/.config")),
            bytes: asked.to_text().into_bytes(),
            mode: 0o644,
        }],
        steps: rules
            .commands
            .iter()
            .map(|argv| Step { argv: argv.clone(), cwd: inside(&work_dir) })
            .collect(),
        env: contract::environment(&recipe.build.env, &work_dir, 0),
        limits: Limits {
            wall: Some(std::time::Duration::from_mins(10)),
            scratch_b: 1 << 30,
            ..Limits::default()
        },
        scratch: Scratch::Memory,
    };
    let (reader, writer) = std::io::pipe().map_err(|source| EngineError::Sandbox {
        source: kbs_sandbox::SandboxError::Send(source),
    })?;
    let writer = std::os::fd::OwnedFd::from(writer);
    let job = engine.start_jail(&spec, &writer)?;
    drop(writer);
    let printed = read_tail(reader);
    let finished = job.wait().map_err(|source| EngineError::Sandbox { source })?;
    let failed = |how: String| EngineError::Configure {
        project: recipe.name.clone(),
        how,
        tail: printed.clone(),
    };
    let command =
        |step: usize| rules.commands.get(step).map(|argv| argv.join(" ")).unwrap_or_default();
    match finished.outcome {
        Outcome::Succeeded => {}
        Outcome::SetupFailed(failure) => return Err(EngineError::Refused { failure }.into()),
        Outcome::Failed { step, code } => {
            return Err(failed(format!("failed: `{}` exited with {code}", command(step))).into());
        }
        Outcome::Signaled { step, signal } => {
            return Err(failed(format!(
                "failed: `{}` was ended by signal {signal}",
                command(step)
            ))
            .into());
        }
        Outcome::TimedOut => return Err(failed("took longer than 10 minutes".to_owned()).into()),
        Outcome::Killed | Outcome::Lost { .. } => {
            return Err(failed("was killed".to_owned()).into());
        }
    }
    let dirs = finished.dirs.ok_or(EngineError::Lost { what: "the work tree of a jail" })?;
    let relative = work_dir.strip_prefix(contract::SRC).unwrap_or("").trim_start_matches('/');
    let text = super::collect::read_config(dirs.src, relative)
        .map_err(|source| EngineError::NoConfiguration { project: recipe.name.clone(), source })?;
    Ok(kbs_kconfig::canonical(&text, &Prefix::default())
        .map_err(|source| EngineError::Config { source })?)
}

/// The last part of what the configure step printed.
fn read_tail(reader: impl std::io::Read) -> String {
    const KEPT_B: usize = 8 << 10;
    let mut kept = Vec::new();
    let mut chunk = [0; 4 << 10];
    let mut reader = reader;
    while let Ok(read @ 1..) = reader.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * KEPT_B {
            kept.drain(..kept.len() - KEPT_B);
        }
    }
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Refuses a configuration that came to mean another device, and tells of lesser changes.
fn compare(
    engine: &Engine,
    rules: &ConfigureRules,
    ask: &ConfigAsk,
    asked: &Assignments,
    normalised: &Assignments,
    pinned: &Pinned,
    selection: &Selection,
) -> Result<Vec<String>, Problem> {
    let symbol = |source| EngineError::Symbol { source };
    let identity: Vec<Pattern> = rules
        .identity
        .iter()
        .map(|name| Pattern::new(name).map_err(symbol))
        .collect::<Result<_, _>>()?;
    let accept: Vec<Symbol> = ask
        .accept_drift
        .iter()
        .map(|name| Symbol::new(name).map_err(symbol))
        .collect::<Result<_, _>>()?;
    let drift = kbs_kconfig::drift(asked, normalised, &identity, &accept);
    if drift.is_empty() {
        return Ok(Vec::new());
    }
    let defined = definitions(engine, selection)?;
    if !drift.refused.is_empty() {
        let mut changes = String::new();
        for change in &drift.refused {
            let _ = writeln!(changes, "  {}", describe(change));
        }
        let help = advise(&drift.refused, &defined, normalised);
        let version = pinned.version.clone();
        return Err(
            EngineError::Drift { version, changes: changes.trim_end().to_owned(), help }.into()
        );
    }
    // A saved configuration also lists symbols that nobody can set; losing those is no news.
    let settable = |change: &&Change| {
        let mut all =
            defined.iter().filter(|definition| definition.name == change.symbol).peekable();
        all.peek().is_none() || all.any(|definition| definition.prompt.is_some())
    };
    let changed = drift.changed.iter().filter(settable);
    let dropped = drift.dropped.iter().filter(settable);
    Ok(changed.chain(dropped).map(describe).collect())
}

fn describe(change: &Change) -> String {
    let Change { symbol, asked, got } = change;
    match got {
        Some(got) => format!("CONFIG_{symbol}: asked {asked}, is {got}"),
        None => format!("CONFIG_{symbol}: asked {asked}, is not there"),
    }
}

fn advise(refused: &[Change], defined: &[Definition], normalised: &Assignments) -> String {
    let mut advice: Vec<String> = Vec::new();
    for Change { symbol, asked, got: _ } in refused {
        for suggestion in kbs_kconfig::suggest(symbol, asked, defined, normalised) {
            let line = match suggestion {
                Suggestion::Similar { symbol, prompt: Some(prompt), value: _ } => {
                    format!("set CONFIG_{symbol} ({prompt})")
                }
                Suggestion::Similar { symbol, prompt: None, value: _ } => {
                    format!("set CONFIG_{symbol}")
                }
                Suggestion::Hidden { symbol, prompt: _ } => {
                    format!("CONFIG_{symbol} still exists, but what it depends on is not set")
                }
            };
            if !advice.contains(&line) && advice.len() < 4 {
                advice.push(line);
            }
        }
    }
    let names: Vec<_> = refused.iter().map(|change| change.symbol.to_string()).collect();
    let otherwise =
        format!("or accept the change with `--accept-drift {}`", names.join(" --accept-drift "));
    if advice.is_empty() {
        format!("make the configuration again for this version, {otherwise}")
    } else {
        format!("{}; {otherwise}", advice.join("; "))
    }
}

/// The symbols that the Kconfig files among `selection` define.
fn definitions(engine: &Engine, selection: &Selection) -> Result<Vec<Definition>, Problem> {
    let mut all = Vec::new();
    for item in &selection.items {
        let name = item.path.file_name();
        let is_kconfig = name.starts_with("Kconfig") || name.starts_with("Config.");
        if let (true, ItemKind::File { oid, .. }) = (is_kconfig, &item.kind) {
            let bytes = engine.mirror.read(*oid)?;
            all.extend(kbs_kconfig::defined_symbols(&String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(all)
}
