//! Git objects become directories that can be mounted: one for each layer, made once per content.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kbs_source::{ItemKind, Layer, Selection};
use kbs_store::{Executable, Lease, NewLayer, SourceEntry, SourceKind, Thing};

use crate::engine::locks::KeyGuard;
use crate::engine::{Engine, now_unix_s};
use crate::problem::Problem;

const _: () = assert!(kbs_source::LAYERS_MAX <= kbs_sandbox::SOURCE_LAYERS_MAX);

/// The directories that together hold exactly the selected files; none is collected meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) layers: Vec<PathBuf>,
    _leases: Arc<Vec<Lease>>,
}

/// Layers that were just made and are not recorded; whoever else wants one waits.
#[must_use]
pub(crate) struct Fresh<'e> {
    engine: &'e Engine,
    made: Vec<(NewLayer, KeyGuard<'e, [u8; 32]>)>,
}

impl Fresh<'_> {
    /// Whether every layer had been recorded before.
    pub(crate) fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Waits until the disk has them, and has them found from now on.
    pub(crate) fn record(self) -> Result<(), Problem> {
        let Self { engine, made } = self;
        let (layers, _held): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        Ok(engine.store.record_layers(layers)?)
    }
}

/// Finds or makes every layer of a selection.
pub(crate) fn ingest(engine: &Engine, selection: &Selection) -> Result<Source, Problem> {
    let (source, fresh) = ingest_at_once(engine, selection)?;
    fresh.record()?;
    Ok(source)
}

/// As [`ingest`], but does not wait for the disk: nothing that is made from the source may be kept
/// before [`Fresh::record`] has succeeded.
pub(crate) fn ingest_at_once<'e>(
    engine: &'e Engine,
    selection: &Selection,
) -> Result<(Source, Fresh<'e>), Problem> {
    let layers = selection.layers();
    // Several are held at a time, so everybody takes them in one order.
    let in_order: BTreeMap<_, _> = layers.iter().map(|layer| (layer.id, layer)).collect();
    let (mut dirs, mut leases) = (BTreeMap::new(), Vec::new());
    let mut fresh = Fresh { engine, made: Vec::new() };
    for (id, layer) in in_order {
        let thing = Thing::Layer(*id.as_bytes());
        leases.push(engine.store.lease(thing));
        dirs.insert(id, self::layer(engine, layer, &mut fresh)?);
        engine.touch(thing);
    }
    let layers = layers.iter().map(|layer| dirs[&layer.id].clone()).collect();
    Ok((Source { layers, _leases: Arc::new(leases) }, fresh))
}

fn layer<'e>(
    engine: &'e Engine,
    layer: &Layer<'_>,
    fresh: &mut Fresh<'e>,
) -> Result<PathBuf, Problem> {
    let name = *layer.id.as_bytes();
    if let Some(dir) = engine.store.layer(name)? {
        return Ok(dir);
    }
    let held = engine.ingesting.hold(&name);
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
    let made = engine.store.ingest_layer(name, &entries, &read, now_unix_s())?;
    let dir = made.dir().to_owned();
    fresh.made.push((made, held));
    Ok(dir)
}
