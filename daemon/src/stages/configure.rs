//! From a configuration as asked to the normalised one, by kbs itself or by the project's own tool.

use kbs_kconfig::{Assignments, Definition, Notation, Prefix};
use kbs_plan::id::{ConfigHash, ConfigureKey};
use kbs_plan::kconfig::Configurer;
use kbs_plan::recipe::{ConfigureRules, Recipe};
use kbs_plan::spec::ConfigAsk;

use super::asked::{self, Asked};
use super::drift::{self, Comparison};
use super::image::Toolchain;
use super::kconfig::KconfigTree;
use super::own_tool::OwnTool;
use super::pin::Pinned;
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
    /// How it is written.
    pub(crate) notation: Notation,
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
    let notation = notation(recipe)?;
    let Asked { assignments: asked, mut warnings, mut accept } =
        asked::merge(engine, (recipe, rules), ask, pinned, &notation)?;
    let tool = Tool::of(engine, (recipe, rules), pinned, toolchain, watch)?;
    let key = tool.key(&asked);
    let remembered = || Ok::<_, Problem>(engine.store.configured(key)?);
    let mut text = remembered()?;
    if text.is_none() {
        let _guard = engine.configuring.hold(&key);
        text = remembered()?;
        if text.is_none() {
            let fresh = watch.phase("configure", recipe.name.clone(), || {
                tool.normalise(&asked, &notation, watch)
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
    let normalised = asked::parse(&text, ".config", &notation)?.0;
    accept.extend(ask.accept_drift.iter().cloned());
    let comparison = Comparison {
        asked: &asked,
        normalised: &normalised,
        accept: &accept,
        version: &pinned.version,
        prefix: &notation.prefix,
        definitions: &|| tool.definitions(engine),
        history: (&engine.mirror, pinned.commit),
    };
    warnings.extend(drift::judge(rules, &comparison)?);
    Ok(Configured { hash: ConfigHash::of(text.as_bytes()), text, notation, warnings })
}

/// How configurations of the project are written.
pub(crate) fn notation(recipe: &Recipe) -> Result<Notation, EngineError> {
    let Some(rules) = &recipe.kconfig else { return Ok(Notation::default()) };
    let prefix =
        Prefix::new(rules.prefix.as_str()).map_err(|source| EngineError::Symbol { source })?;
    Ok(Notation { prefix, strings: super::kconfig::dialect(rules).strings })
}

/// What normalises.
enum Tool<'a> {
    Kbs(KconfigTree<'a>),
    Project(OwnTool<'a>),
}

impl<'a> Tool<'a> {
    fn of(
        engine: &'a Engine,
        (recipe, rules): (&'a Recipe, &'a ConfigureRules),
        pinned: &Pinned,
        toolchain: &'a Toolchain,
        watch: &'a Watch,
    ) -> Result<Self, Problem> {
        Ok(match (recipe.configurer(), &recipe.kconfig) {
            (Configurer::Kbs, Some(kconfig)) => {
                let recipe = (recipe, kconfig);
                Self::Kbs(KconfigTree::new(
                    (engine, watch),
                    recipe,
                    pinned.commit,
                    Some(toolchain),
                )?)
            }
            _ => Self::Project(OwnTool::new(engine, (recipe, rules), pinned, toolchain)?),
        })
    }

    /// The key of what it makes of `asked`.
    fn key(&self, asked: &Assignments) -> ConfigureKey {
        match self {
            Self::Kbs(tree) => tree.key_of(asked),
            Self::Project(tool) => tool.key(asked),
        }
    }

    fn normalise(
        &self,
        asked: &Assignments,
        notation: &Notation,
        watch: &Watch,
    ) -> Result<String, Problem> {
        match self {
            Self::Kbs(tree) => tree.normalise(asked, notation),
            Self::Project(tool) => tool.normalise(asked, notation, watch),
        }
    }

    /// The symbols that the project's Kconfig files define.
    fn definitions(&self, engine: &Engine) -> Result<Vec<Definition>, Problem> {
        match self {
            Self::Kbs(tree) => tree.definitions(),
            Self::Project(tool) => drift::definitions(engine, &tool.selection),
        }
    }
}
