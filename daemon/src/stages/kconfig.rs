//! The Kconfig files of a commit, read from git objects and understood by kbs itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kbs_kconfig::{Assignments, Definition, Dialect, HeaderOff, Kconfig, NoShell, Notation, Shell};
use kbs_plan::id::ConfigureKey;
use kbs_plan::kconfig::{DialectName, HeaderOffName, KconfigRules, KconfigShell};
use kbs_plan::recipe::Recipe;
use kbs_source::{CommitId, Selection};
use serde::Serialize;

use super::commit_files::CommitFiles;
use super::image::Toolchain;
use super::kconfig_shell::{JailShell, SurroundingInputs, Surroundings};
use super::{configure, pin};
use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::{EngineError, Problem};

/// A Kconfig file of a commit.
#[derive(Debug)]
pub(crate) struct KconfigFile {
    /// As seen from the directory that commands run in.
    pub(crate) path: Arc<str>,
    pub(crate) text: Vec<u8>,
}

/// The Kconfig files of a commit, with all that decides what they mean.
pub(crate) struct KconfigTree<'a> {
    engine: &'a Engine,
    recipe: &'a Recipe,
    rules: &'a KconfigRules,
    selection: Arc<Selection>,
    env: BTreeMap<String, String>,
    watch: &'a Watch,
    /// Where commands run; `None` where they are refused.
    surroundings: Option<Surroundings<'a>>,
    key: ConfigureKey,
}

impl<'a> KconfigTree<'a> {
    /// The files at a commit; none is read yet. Commands that they ask for run in `toolchain`, where
    /// the recipe lets them.
    pub(crate) fn new(
        (engine, watch): (&'a Engine, &'a Watch),
        (recipe, rules): (&'a Recipe, &'a KconfigRules),
        commit: CommitId,
        toolchain: Option<&'a Toolchain>,
    ) -> Result<Self, Problem> {
        let configure = recipe.configure.iter().map(|rules| &rules.paths);
        let mut choices = [&rules.paths].into_iter().chain(configure);
        let paths = choices.find(|paths| !paths.is_empty()).unwrap_or(&recipe.source.paths);
        let selection = engine.select(commit, paths, pin::submodules(recipe))?;
        let env = recipe.kconfig_env();
        let runs = toolchain.filter(|_| rules.shell == KconfigShell::Run);
        let surroundings =
            runs.map(|toolchain| Surroundings::new(engine, toolchain)).transpose()?;
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
        let inputs = TreeInputs {
            engine: kbs_kconfig::ENGINE,
            root,
            dialect: *dialect,
            header_off: *header_off,
            prefix,
            env: &env,
            generated,
            subdir: recipe.build.subdir.as_deref(),
            selection: selection.id.to_string(),
            commands: surroundings.as_ref().map(Surroundings::inputs),
        };
        let key = ConfigureKey::of(&serde_json::to_vec(&inputs).expect("text and maps of text"));
        Ok(Self { engine, recipe, rules, selection, env, watch, surroundings, key })
    }

    /// The key of what they make of `asked`.
    pub(crate) fn key_of(&self, asked: &Assignments) -> ConfigureKey {
        let inputs = Inputs { kconfig: self.key.to_string(), asked: asked.to_text() };
        ConfigureKey::of(&serde_json::to_vec(&inputs).expect("text"))
    }

    /// The files, understood; those of the latest trees are remembered.
    pub(crate) fn load(&self) -> Result<Arc<Kconfig>, Problem> {
        let known = &self.engine.kconfigs;
        if let Some(kconfig) = known.get(self.key) {
            return Ok(kconfig);
        }
        let _guard = known.loading.hold(&self.key);
        if let Some(kconfig) = known.get(self.key) {
            return Ok(kconfig);
        }
        let prefix = configure::notation(self.recipe)?.prefix;
        let kconfig = Arc::new(self.read()?.with_prefix(prefix));
        let text_b = self.texts(&kconfig)?.iter().map(|file| file.text.len()).sum();
        known.put(self.key, Arc::clone(&kconfig), text_b);
        Ok(kconfig)
    }

    fn read(&self) -> Result<Kconfig, Problem> {
        let Self { engine, recipe, rules, selection, env, watch, surroundings, key: _ } = self;
        let load = |shell: &dyn Shell| {
            Kconfig::load(&rules.root, &self.files(), dialect(rules), env, shell)
        };
        let refused = |source| EngineError::Kconfig {
            project: recipe.name.clone(),
            has_tool: self.has_tool(),
            source,
        };
        let Some(surroundings) = surroundings else {
            return Ok(load(&NoShell).map_err(refused)?);
        };
        let subdir = recipe.build.subdir.as_deref();
        let shell = JailShell::new((*engine, *watch), surroundings, selection, subdir, env);
        load(&shell).map_err(|error| shell.into_problem().unwrap_or_else(|| refused(error).into()))
    }

    /// What they make of `asked`.
    pub(crate) fn normalise(
        &self,
        asked: &Assignments,
        notation: &Notation,
    ) -> Result<String, Problem> {
        let kconfig = self.load()?;
        let mut configuration = kconfig.evaluate();
        // What cannot be set shows as drift, whoever normalises.
        configuration.load(&asked.to_text());
        Ok(kbs_kconfig::canonical(&configuration.to_dotconfig(), notation)
            .map_err(|source| EngineError::Config { source })?)
    }

    /// The symbols that they define.
    pub(crate) fn definitions(&self) -> Result<Vec<Definition>, Problem> {
        let texts = self.texts(&*self.load()?)?;
        Ok(texts
            .iter()
            .flat_map(|file| kbs_kconfig::defined_symbols(&String::from_utf8_lossy(&file.text)))
            .collect())
    }

    /// Every file that was read, each once, in the order of reading.
    pub(crate) fn texts(&self, kconfig: &Kconfig) -> Result<Vec<KconfigFile>, Problem> {
        let files = self.files();
        let mut seen = BTreeSet::new();
        let once = kconfig.files().iter().filter(|path| seen.insert(Arc::clone(path)));
        once.map(|path| {
            let lost = || EngineError::Lost { what: "a Kconfig file that was just read" };
            Ok(KconfigFile { path: Arc::clone(path), text: files.find(path)?.ok_or_else(lost)? })
        })
        .collect()
    }

    fn files(&self) -> CommitFiles<'_> {
        CommitFiles {
            mirror: &self.engine.mirror,
            items: &self.selection.items,
            dir: self.recipe.build.subdir.as_deref(),
            generated: &self.rules.generated,
        }
    }

    /// Whether the recipe knows how the project configures itself.
    fn has_tool(&self) -> bool {
        self.recipe.configure.as_ref().is_some_and(|rules| !rules.commands.is_empty())
    }
}

/// The tool whose rules hold.
pub(super) fn dialect(rules: &KconfigRules) -> Dialect {
    let dialect = match rules.dialect {
        DialectName::Conf => Dialect::CONF,
        DialectName::UBoot => Dialect::U_BOOT,
        DialectName::Seabios => Dialect::SEABIOS,
        DialectName::Busybox => Dialect::BUSYBOX,
        DialectName::Kconfiglib => Dialect::KCONFIGLIB,
    };
    let header_off = match rules.header_off {
        HeaderOffName::Left => HeaderOff::Left,
        HeaderOffName::Zero => HeaderOff::Zero,
    };
    Dialect { header_off, ..dialect }
}

#[derive(Serialize)]
struct TreeInputs<'a> {
    engine: u32,
    root: &'a str,
    dialect: DialectName,
    header_off: HeaderOffName,
    prefix: &'a str,
    env: &'a BTreeMap<String, String>,
    generated: &'a BTreeMap<String, String>,
    subdir: Option<&'a str>,
    selection: String,
    commands: Option<SurroundingInputs<'a>>,
}

#[derive(Serialize)]
struct Inputs {
    kconfig: String,
    asked: String,
}
