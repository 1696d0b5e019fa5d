//! Git objects become directories that can be mounted: one for each layer, made once per content.

use std::path::PathBuf;
use std::sync::Arc;

use kbs_source::{ItemKind, Layer, Selection};
use kbs_store::{Executable, Lease, SourceEntry, SourceKind, Thing};

use crate::engine::{Engine, now_unix_s};
use crate::problem::Problem;

const _: () = assert!(kbs_source::LAYERS_MAX <= kbs_sandbox::SOURCE_LAYERS_MAX);

/// The directories that together hold exactly the selected files; none is collected meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) layers: Vec<PathBuf>,
    _leases: Arc<Vec<Lease>>,
}

/// Finds or makes every layer of a selection.
pub(crate) fn ingest(engine: &Engine, selection: &Selection) -> Result<Source, Problem> {
    let (mut layers, mut leases) = (Vec::new(), Vec::new());
    for layer in selection.layers() {
        let thing = Thing::Layer(*layer.id.as_bytes());
        leases.push(engine.store.lease(thing));
        layers.push(self::layer(engine, &layer)?);
        engine.touch(thing);
    }
    Ok(Source { layers, _leases: Arc::new(leases) })
}

fn layer(engine: &Engine, layer: &Layer<'_>) -> Result<PathBuf, Problem> {
    let name = *layer.id.as_bytes();
    if let Some(dir) = engine.store.layer(name)? {
        return Ok(dir);
    }
    let _guard = engine.ingesting.hold(&name);
    if let Some(dir) = engine.store.layer(name)? {
        return Ok(dir);
    }
    let entries: Vec<_> = layer
        .items
        .iter()
        .map(|item| {
            let kind = match &item.kind {
                ItemKind::Directory => SourceKind::Directory,
                ItemKind::Symlink { target } => SourceKind::Symlink { target: target.clone() },
                ItemKind::File { oid: _, executable } => SourceKind::File {
                    executable: if *executable { Executable::Yes } else { Executable::No },
                },
            };
            SourceEntry { path: item.path.clone(), kind }
        })
        .collect();
    let read = |number: usize| match &layer.items[number].kind {
        ItemKind::File { oid, .. } => engine.mirror.read(*oid),
        ItemKind::Directory | ItemKind::Symlink { .. } => Ok(Vec::new()),
    };
    Ok(engine.store.ingest_layer(name, &entries, &read, now_unix_s())?)
}
