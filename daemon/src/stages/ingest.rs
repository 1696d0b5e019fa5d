//! Git objects become a directory that can be mounted, once per content.

use std::path::PathBuf;

use kbs_source::{ItemKind, ReadError, Selection};
use kbs_store::{Executable, SourceEntry, SourceKind};

use crate::engine::Engine;
use crate::problem::Problem;

/// The directory that holds exactly the selected files.
pub(crate) fn ingest(engine: &Engine, selection: &Selection) -> Result<PathBuf, Problem> {
    let id = *selection.id.as_bytes();
    if let Some(dir) = known(engine, id)? {
        return Ok(dir);
    }
    let _guard = engine.ingesting.hold(&id);
    if let Some(dir) = known(engine, id)? {
        return Ok(dir);
    }
    let mut entries = selection.items.iter().map(|item| -> Result<_, ReadError> {
        let kind = match &item.kind {
            ItemKind::Directory => SourceKind::Directory,
            ItemKind::Symlink { target } => SourceKind::Symlink { target: target.clone() },
            ItemKind::File { oid, executable } => SourceKind::File {
                executable: if *executable { Executable::Yes } else { Executable::No },
                git_oid: Some(*oid.as_bytes()),
                read: Box::new(|| engine.mirror.read(*oid)),
            },
        };
        Ok(SourceEntry { path: item.path.clone(), kind })
    });
    let (tree, dir) = engine.store.ingest_source(&mut entries)?;
    engine.store.remember_selection(id, tree)?;
    Ok(dir)
}

fn known(engine: &Engine, id: [u8; 32]) -> Result<Option<PathBuf>, Problem> {
    Ok(engine.store.selection(id)?.and_then(|tree| engine.store.source(tree)))
}
