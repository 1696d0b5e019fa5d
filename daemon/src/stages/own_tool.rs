//! The project's own configure step, in a jail that holds only what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use kbs_kconfig::{Assignments, Notation};
use kbs_plan::derivation::SANDBOX_CONTRACT;
use kbs_plan::id::ConfigureKey;
use kbs_plan::recipe::{ConfigureRules, Recipe};
use kbs_sandbox::{Finished, JailFile, JailPath, JailSpec, Limits, Step};
use kbs_source::Selection;
use serde::Serialize;

use super::image::{self, Toolchain};
use super::jail::{self, Tail};
use super::pin::{self, Pinned};
use super::{build, collect, ingest, verdict};
use crate::contract;
use crate::engine::watch::Watch;
use crate::engine::{Engine, ScratchRoom};
use crate::problem::{EngineError, Problem};

/// Room for what a configure step writes, and its time.
const SCRATCH_B: u64 = 1 << 30;
const WALL: std::time::Duration = std::time::Duration::from_mins(10);

/// The project's own configure step at a commit, with all that decides what comes out.
pub(crate) struct OwnTool<'a> {
    engine: &'a Engine,
    recipe: &'a Recipe,
    rules: &'a ConfigureRules,
    toolchain: &'a Toolchain,
    /// The files that it reads.
    pub(crate) selection: Arc<Selection>,
    /// How the sandbox falls short; a whole one takes nothing that was made in another.
    marks: BTreeSet<String>,
}

impl<'a> OwnTool<'a> {
    /// The configure step of a commit.
    pub(crate) fn new(
        engine: &'a Engine,
        (recipe, rules): (&'a Recipe, &'a ConfigureRules),
        pinned: &Pinned,
        toolchain: &'a Toolchain,
    ) -> Result<Self, Problem> {
        let paths = if rules.paths.is_empty() { &recipe.source.paths } else { &rules.paths };
        let selection = engine.select(pinned.commit, paths, pin::submodules(recipe))?;
        let marks = build::marks(&engine.without()?);
        Ok(Self { engine, recipe, rules, toolchain, selection, marks })
    }

    /// The key of what it makes of `asked`.
    pub(crate) fn key(&self, asked: &Assignments) -> ConfigureKey {
        let Self { engine: _, recipe, rules, toolchain, selection, marks } = self;
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

    /// Runs the step and takes its `.config`.
    ///
    /// What it is given is written anew from assignments, so nothing else of the person's file can
    /// reach a make that includes it.
    pub(crate) fn normalise(
        &self,
        asked: &Assignments,
        notation: &Notation,
        watch: &Watch,
    ) -> Result<String, Problem> {
        let Self { engine, recipe, rules, toolchain, selection, marks: _ } = self;
        let source = ingest::ingest(engine, selection)?;
        let work_dir = contract::work_dir(recipe.build.subdir.as_deref());
        let inside = |path: &str| JailPath::new(path).expect("a checked path below /build");
        let (base, _room) = step_jail(engine, toolchain, source.layers.clone())?;
        let spec = JailSpec {
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
            ..base
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
        let Finished { outcome, usage, took: _, dirs, copied: _ } = finished;
        let project = || recipe.name.clone();
        if let Some(verdict) = verdict::judge(outcome, &spec, &usage, &printed.text())? {
            let how = format!("failed: {}", verdict.text);
            let (project, tail) = (project(), printed.text());
            return Err(EngineError::Configure { project, how, tail }.into());
        }
        let dirs = dirs.ok_or(EngineError::Lost { what: "the work tree of a jail" })?;
        let relative = work_dir.strip_prefix(contract::SRC).unwrap_or("").trim_start_matches('/');
        let text = collect::read_config(dirs.src, relative)
            .map_err(|source| EngineError::NoConfiguration { project: project(), source })?;
        Ok(kbs_kconfig::canonical(&text, notation)
            .map_err(|source| EngineError::Config { source })?)
    }
}

/// A jail for a step before the build, in which nothing is to be done yet, and its room.
pub(super) fn step_jail(
    engine: &Engine,
    toolchain: &Toolchain,
    layers: Vec<PathBuf>,
) -> Result<(JailSpec, ScratchRoom), Problem> {
    image::inspect(engine, toolchain)?;
    let room = engine.scratch(SCRATCH_B)?;
    let spec = JailSpec {
        root: toolchain.rootfs.clone(),
        source: layers,
        inputs: Vec::new(),
        files: Vec::new(),
        steps: Vec::new(),
        env: BTreeMap::new(),
        limits: Limits {
            wall: Some(WALL),
            scratch_b: SCRATCH_B,
            ..engine.config.decide(&kbs_plan::limits::Limits::default())?.of_jail()
        },
        scratch: room.scratch.clone(),
        sample_every: engine.config.sample,
        without: engine.without()?,
    };
    Ok((spec, room))
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
    marks: &'a BTreeSet<String>,
}
