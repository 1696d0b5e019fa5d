//! Hands out the Kconfig files of a spec's commit, for clients that work on a configuration.

use std::collections::BTreeMap;

use kbs_kconfig::Place;
use kbs_plan::kconfig::{KconfigRules, KconfigShell};
use kbs_plan::recipe::ConfigureRules;
use kbs_plan::spec::Spec;

use super::asked;
use super::configure;
use super::kconfig::{KconfigFile, KconfigTree};
use super::{image, pin, sync};
use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::{EngineError, Problem};

/// Bytes that are handed out at most; Linux has some 6 MB for all its architectures.
const TEXT_MAX_B: usize = 48 << 20;

/// What it takes to work on the configuration of a spec.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Name of the recipe.
    pub(crate) project: String,
    pub(crate) commit: String,
    pub(crate) version: String,
    pub(crate) rules: KconfigRules,
    /// The environment that the files may ask for.
    pub(crate) env: BTreeMap<String, String>,
    /// Exactly the files that are read, each once.
    pub(crate) files: Vec<KconfigFile>,
    /// All that the spec asks for, as a configuration; not normalised.
    pub(crate) config: String,
    /// Where each of its lines was written.
    pub(crate) places: Vec<Place>,
    /// What commands printed that the files ask for.
    pub(crate) answers: BTreeMap<String, String>,
}

/// Finds the Kconfig files of a spec's commit. Needs no image, and runs nothing, unless the recipe
/// lets the files ask for commands.
pub(crate) fn hand(engine: &Engine, spec: &Spec, watch: &Watch) -> Result<Handed, Problem> {
    engine.check_open()?;
    let recipe = spec.resolve_recipe()?;
    let Some(rules) = &recipe.kconfig else {
        let text = format!("the recipe {} does not say where its Kconfig files are", recipe.name);
        let help = Some("say so in a [recipe.kconfig] table of the spec".to_owned());
        return Err(EngineError::Request { text, help }.into());
    };
    let (project, resolved) = sync::resolve(engine, &spec.source, &recipe.name, &spec.rev, watch)?;
    let pinned = pin::pin(engine, &project.name, resolved.commit, &recipe, watch)?;
    let notation = configure::notation(&recipe)?;
    let (none, ask) = (ConfigureRules::default(), spec.config.clone().unwrap_or_default());
    let configure = recipe.configure.as_ref().unwrap_or(&none);
    let asked = asked::merge(engine, (&recipe, configure), &ask, &pinned, &notation)?;
    for warning in asked.warnings {
        watch.notice("ignored", warning);
    }
    let runs = rules.shell == KconfigShell::Run;
    let image = || image::resolve(engine, &spec.toolchain, &recipe.name, &recipe.toolchain, watch);
    let toolchain = runs.then(image).transpose()?;
    let (asker, from) = ((engine, watch), (&recipe, rules));
    let tree = KconfigTree::new(asker, from, pinned.commit, toolchain.as_ref())?;
    let kconfig = tree.load()?;
    let files = tree.texts(&kconfig)?;
    let size_b: usize = files.iter().map(|file| file.text.len()).sum();
    if size_b > TEXT_MAX_B {
        let text = format!(
            "the Kconfig files of {} hold {size_b} bytes, more than the {TEXT_MAX_B} that are \
             handed out",
            recipe.name
        );
        return Err(EngineError::Request { text, help: None }.into());
    }
    Ok(Handed {
        project: recipe.name.clone(),
        commit: pinned.commit.to_string(),
        version: pinned.version,
        rules: rules.clone(),
        env: recipe.kconfig_env(),
        files,
        answers: kconfig.answers().clone(),
        config: asked.assignments.to_text(),
        places: asked.assignments.iter().filter_map(|one| one.place.clone()).collect(),
    })
}
