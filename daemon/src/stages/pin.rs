//! From what was asked to what it is: commit, version, epoch, and the files that a build sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbs_plan::recipe::{Recipe, VersionPolicy, is_version};
use kbs_source::{Abbrev, CommitId, PathPatterns, ProjectName, SelectError, Selection, Submodules};

use crate::engine::Engine;
use crate::engine::watch::Watch;
use crate::problem::{EngineError, Problem};

/// A source at a commit, with what the build may know of it.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) commit: CommitId,
    pub(crate) head: CommitId,
    pub(crate) version: String,
    pub(crate) epoch: i64,
    pub(crate) submodules: BTreeMap<String, String>,
}

/// Decides version and epoch by the recipe's policy.
pub(crate) fn pin(
    engine: &Engine,
    project: &ProjectName,
    commit: CommitId,
    recipe: &Recipe,
    watch: &Watch,
) -> Result<Pinned, Problem> {
    let mirror = &engine.mirror;
    let digits = |abbrev: &Option<u8>| abbrev.map_or(Abbrev::Auto, Abbrev::Digits);
    let (head, version) = match &recipe.version {
        VersionPolicy::Describe { abbrev } => {
            (commit, mirror.describe(project, commit, digits(abbrev))?)
        }
        VersionPolicy::Paths { abbrev } => {
            let head =
                mirror.last_touching(project, commit, &PathPatterns::new(&recipe.source.paths)?)?;
            (head, mirror.describe(project, head, digits(abbrev))?)
        }
        VersionPolicy::Exact(version) => (commit, version.clone()),
    };
    if !is_version(&version) {
        return Err(EngineError::Request {
            text: format!("the version string {version:?} has characters that a shell would run"),
            help: Some("give the version in the spec: [version] exact = \"…\"".to_owned()),
        }
        .into());
    }
    let submodules = if recipe.source.submodules {
        let selection = select_with_submodules(engine, project, commit, recipe, watch)?;
        selection.submodules.iter().map(|(path, id)| (path.to_string(), id.to_string())).collect()
    } else {
        BTreeMap::new()
    };
    let epoch = mirror.commit_time(head)?;
    Ok(Pinned { commit, head, version, epoch, submodules })
}

/// The files that the build sees; submodules are fetched where their commits are not here.
fn select_with_submodules(
    engine: &Engine,
    project: &ProjectName,
    commit: CommitId,
    recipe: &Recipe,
    watch: &Watch,
) -> Result<Arc<Selection>, Problem> {
    let paths = PathPatterns::new(&recipe.source.paths)?;
    match engine.mirror.select(commit, &paths, Submodules::Include) {
        Err(SelectError::MissingSubmodule { .. }) => {
            watch.phase("sync", format!("submodules of {project}"), || {
                let _guard = engine.syncing.hold(project);
                let mut progress = |line: &str| watch.progress(line);
                Ok(engine.mirror.sync_submodules(project, commit, &mut progress)?)
            })?;
            select(engine, commit, recipe)
        }
        selected => Ok(Arc::new(selected?)),
    }
}

/// Whether the recipe wants submodules.
pub(crate) fn submodules(recipe: &Recipe) -> Submodules {
    if recipe.source.submodules { Submodules::Include } else { Submodules::Ignore }
}

/// The files that the build sees.
pub(crate) fn select(
    engine: &Engine,
    commit: CommitId,
    recipe: &Recipe,
) -> Result<Arc<Selection>, Problem> {
    let selection = engine.select(commit, &recipe.source.paths, submodules(recipe))?;
    if selection.items.is_empty() {
        let paths = recipe.source.paths.join(", ");
        let text =
            format!("nothing of {commit} matches the source paths of {}: {paths}", recipe.name);
        let help = Some("correct source.paths in the recipe".to_owned());
        return Err(EngineError::Request { text, help }.into());
    }
    Ok(selection)
}
