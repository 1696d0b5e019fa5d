//! From a configuration as asked to the normalised one, by the project's own configure step.

use std::collections::{BTreeMap, BTreeSet};

use kbs_kconfig::{Assignments, Place, Prefix};
use kbs_plan::derivation::SANDBOX_CONTRACT;
use kbs_plan::id::{ConfigHash, ConfigureKey};
use kbs_plan::recipe::{ConfigureRules, Recipe};
use kbs_plan::spec::{ConfigAsk, ConfigText};
use kbs_sandbox::{Finished, JailFile, JailPath, JailSpec, Limits, Step};
use kbs_source::{Item, ItemKind, Selection};
use serde::Serialize;

use super::build;
use super::drift::{self, Comparison};
use super::image::{self, Toolchain};
use super::jail::{self, Tail};
use super::pin::{self, Pinned};
use super::verdict;
use crate::contract;
use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::{EngineError, Problem};

/// Room for what a configure step writes, and its time.
const SCRATCH_B: u64 = 1 << 30;
const WALL: std::time::Duration = std::time::Duration::from_mins(10);

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
    let Asked { assignments: asked, mut warnings, mut accept } =
        merge(engine, (recipe, rules), ask, pinned)?;
    let paths = if rules.paths.is_empty() { &recipe.source.paths } else { &rules.paths };
    let selection = engine.select(pinned.commit, paths, pin::submodules(recipe))?;
    let sandbox = build::marks(&engine.without()?);
    let key = configure_key((recipe, rules), &selection, &asked, toolchain, &sandbox);
    let remembered = || Ok::<_, Problem>(engine.store.configured(key)?);
    let mut text = remembered()?;
    if text.is_none() {
        let _guard = engine.configuring.hold(&key);
        text = remembered()?;
        if text.is_none() {
            let fresh = watch.phase("configure", recipe.name.clone(), || {
                normalise(engine, (recipe, rules), &selection, &asked, toolchain, watch)
            })?;
            engine.store.remember_configured(key, fresh.as_bytes())?;
            text = Some(fresh.into_bytes());
        }
    }
    let text = String::from_utf8(text.unwrap_or_default()).map_err(|error| {
        EngineError::NoConfiguration {
            project: recipe.name.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        }
    })?;
    let normalised = parse(&text, ".config")?.0;
    accept.extend(ask.accept_drift.iter().cloned());
    let comparison = Comparison {
        asked: &asked,
        normalised: &normalised,
        accept: &accept,
        version: &pinned.version,
        selection: &selection,
    };
    warnings.extend(drift::judge(engine, rules, &comparison)?);
    Ok(Configured { hash: ConfigHash::of(text.as_bytes()), text, warnings })
}

/// Everything asked for, as one configuration.
struct Asked {
    assignments: Assignments,
    /// Lines that had no effect.
    warnings: Vec<String>,
    /// Symbols as a defconfig of this very commit has them: what becomes of those is what the
    /// project means, and never the doing of a configuration from another version.
    accept: Vec<String>,
}

/// Puts together everything asked for.
fn merge(
    engine: &Engine,
    (recipe, rules): (&Recipe, &ConfigureRules),
    ask: &ConfigAsk,
    pinned: &Pinned,
) -> Result<Asked, Problem> {
    let ConfigAsk { base, defconfig, fragments, set, accept_drift: _ } = ask;
    let mut warnings = Vec::new();
    let mut asked = Assignments::default();
    let named =
        defconfig.as_deref().map(|name| read_defconfig(engine, (recipe, rules), name, pinned));
    let named = named.transpose()?;
    for ConfigText { origin, text } in base.iter().chain(named.iter()).chain(fragments) {
        let (assignments, ignored) = parse(text, origin)?;
        warnings.extend(ignored);
        asked.merge(assignments);
    }
    let single: Vec<_> =
        set.iter().map(|(symbol, value)| format!("CONFIG_{symbol}={value}")).collect();
    let (single, ignored) = parse(&single.join("\n"), "config.set")?;
    warnings.extend(ignored);
    asked.merge(single);
    let is_own = |place: &Place| named.as_ref().is_some_and(|named| *place.origin == named.origin);
    let own = asked.iter().filter(|assignment| assignment.place.as_ref().is_some_and(is_own));
    let accept = own.map(|assignment| assignment.symbol.to_string()).collect();
    Ok(Asked { assignments: asked, warnings, accept })
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
    (recipe, rules): (&Recipe, &ConfigureRules),
    name: &str,
    pinned: &Pinned,
) -> Result<ConfigText, Problem> {
    let is_file = |kind: &ItemKind| matches!(kind, ItemKind::File { .. });
    let plain =
        !name.is_empty() && !name.contains(['*', '?', '[', '{', '\\']) && !name.starts_with('/');
    for place in rules.defconfigs.iter().filter(|_| plain) {
        let path = place.replace("{}", name);
        let selection = engine.select(pinned.commit, &[path], pin::submodules(recipe))?;
        for Item { path, kind } in &selection.items {
            if let ItemKind::File { oid, .. } = kind {
                let text = String::from_utf8_lossy(&engine.mirror.read(*oid)?).into_owned();
                return Ok(ConfigText { origin: format!("{path} of the project"), text });
            }
        }
    }
    let all: Vec<_> = rules.defconfigs.iter().map(|place| place.replace("{}", "*")).collect();
    let mut known = Vec::new();
    if !all.is_empty() {
        let found = engine.select(pinned.commit, &all, pin::submodules(recipe))?;
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
    /// How the sandbox fell short; a whole one takes nothing that was made in another.
    marks: &'a BTreeSet<String>,
}

fn configure_key(
    (recipe, rules): (&Recipe, &ConfigureRules),
    selection: &Selection,
    asked: &Assignments,
    toolchain: &Toolchain,
    marks: &BTreeSet<String>,
) -> ConfigureKey {
    let inputs = ConfigureInputs {
        contract: SANDBOX_CONTRACT,
        commands: &rules.commands,
        subdir: recipe.build.subdir.as_deref(),
        env: &recipe.build.env,
        selection: selection.id.to_string(),
        asked: asked.to_text(),
        toolchain: toolchain.digest.to_string(),
        marks,
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
    (recipe, rules): (&Recipe, &ConfigureRules),
    selection: &Selection,
    asked: &Assignments,
    toolchain: &Toolchain,
    watch: &Watch,
) -> Result<String, Problem> {
    let source = super::ingest::ingest(engine, selection)?;
    image::inspect(engine, toolchain)?;
    let work_dir = contract::work_dir(recipe.build.subdir.as_deref());
    let limits = Limits {
        wall: Some(WALL),
        scratch_b: SCRATCH_B,
        ..engine.config.decide(&kbs_plan::limits::Limits::default())?.of_jail()
    };
    let room = engine.scratch(SCRATCH_B)?;
    let inside = |path: &str| JailPath::new(path).expect("a checked path below /build");
    let spec = JailSpec {
        root: toolchain.rootfs.clone(),
        source: source.layers.clone(),
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
        limits,
        scratch: room.scratch.clone(),
        sample_every: engine.config.sample,
        without: engine.without()?,
    };
    let mut printed = Tail::default();
    let finished = jail::run(
        engine,
        &spec,
        |job| watch.kill_when_withdrawn(job),
        |_| {},
        |bytes| {
            printed.push(bytes);
            Ok(())
        },
    )?;
    let failed = |how: String| EngineError::Configure {
        project: recipe.name.clone(),
        how,
        tail: printed.text(),
    };
    let Finished { outcome, usage, took: _, dirs, copied: _ } = finished;
    if let Some(verdict) = verdict::judge(outcome, &spec, &usage, &printed.text())? {
        return Err(failed(format!("failed: {}", verdict.text)).into());
    }
    let dirs = dirs.ok_or(EngineError::Lost { what: "the work tree of a jail" })?;
    let relative = work_dir.strip_prefix(contract::SRC).unwrap_or("").trim_start_matches('/');
    let text = super::collect::read_config(dirs.src, relative)
        .map_err(|source| EngineError::NoConfiguration { project: recipe.name.clone(), source })?;
    Ok(kbs_kconfig::canonical(&text, &Prefix::default())
        .map_err(|source| EngineError::Config { source })?)
}
