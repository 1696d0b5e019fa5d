//! Which source is meant, and whether what we hold of it is enough.

use kbs_plan::id::BlobId;
use kbs_plan::spec::SourceAsk;
use kbs_source::{
    Existing, MirrorError, ProjectName, ProjectRecord, ResolveError, Resolved, SourceUrl, Staleness,
};

use crate::engine::watch::Watch;
use crate::engine::{Engine, now_unix_s};
use crate::problem::Problem;

/// The source a spec means and the commit it asks for, fetched if that is needed to know it.
pub(crate) fn resolve(
    engine: &Engine,
    ask: &SourceAsk,
    recipe: &str,
    rev: &str,
    watch: &Watch,
) -> Result<(ProjectRecord, Resolved), Problem> {
    let project = locate(engine, ask, recipe)?;
    let record = engine.mirror.project(&project)?;
    // A local repository is looked at every time, so its newest commits are always seen; a remote
    // one is asked only for a ref that is not known.
    let stale =
        record.synced_at.is_none() || matches!(engine.mirror.is_stale(&project)?, Staleness::Stale);
    if stale {
        sync(engine, &project, watch)?;
    }
    match engine.mirror.resolve(&project, rev) {
        Err(ResolveError::Unknown { .. }) if !stale && record.url.local_path().is_none() => {
            sync(engine, &project, watch)?;
        }
        resolved => return Ok((engine.mirror.project(&project)?, resolved?)),
    }
    let resolved = engine.mirror.resolve(&project, rev)?;
    Ok((engine.mirror.project(&project)?, resolved))
}

/// The name of the source, given one if it has none.
fn locate(engine: &Engine, ask: &SourceAsk, recipe: &str) -> Result<ProjectName, Problem> {
    let url: SourceUrl = match ask {
        SourceAsk::Named(name) => return Ok(ProjectName::new(name)?),
        SourceAsk::Git(url) => SourceUrl::new(url)?,
    };
    let projects = engine.mirror.projects()?;
    if let Some(known) = projects.iter().find(|project| project.url == url) {
        return Ok(known.name.clone());
    }
    // A second repository for one recipe is told apart by its URL.
    let plain = recipe.to_ascii_lowercase();
    let told_apart = format!("{plain}-{}", &BlobId::of(url.to_string().as_bytes()).hex()[..8]);
    let name = ProjectName::new(plain)?;
    match engine.mirror.add(&name, &url, Existing::Keep) {
        Err(MirrorError::OtherUrl { .. }) => {}
        added => return Ok(added.map(|()| name)?),
    }
    let name = ProjectName::new(told_apart)?;
    engine.mirror.add(&name, &url, Existing::Keep)?;
    Ok(name)
}

/// Fetches heads and tags.
fn sync(engine: &Engine, project: &ProjectName, watch: &Watch) -> Result<(), Problem> {
    watch.phase("sync", project.as_str(), || {
        let _guard = engine.syncing.hold(project);
        engine.mirror.sync(project, now_unix_s().cast_signed(), &mut |line| {
            watch.progress(line);
        })?;
        Ok(())
    })
}
