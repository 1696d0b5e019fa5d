//! Builds again and compares with what is stored.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use kbs_plan::id::BlobId;
use kbs_plan::path::RelPath;
use kbs_plan::tree::{Entry, Tree};

use super::build::{self, Made, Order};
use crate::engine::Engine;
use crate::engine::flight::Flight;
use crate::engine::outcome::{Difference, Outcome};
use crate::problem::Problem;

/// Builds a second time and tells where the artifacts differ from `stored`.
pub(crate) fn check(
    engine: &Engine,
    flight: &Arc<Flight>,
    order: &Order,
    stored: &Tree,
) -> Result<Outcome, Problem> {
    match build::make(engine, flight, order)? {
        Made::Failed { failure, .. } => Ok(Outcome::Failure { key: order.key, failure }),
        Made::Artifacts { tree, .. } => {
            Ok(Outcome::Checked { key: order.key, differences: compare(engine, stored, &tree)? })
        }
    }
}

fn compare(engine: &Engine, stored: &Tree, again: &Tree) -> Result<Vec<Difference>, Problem> {
    let paths: BTreeSet<&RelPath> =
        stored.iter().chain(again.iter()).map(|(path, _)| path).collect();
    let mut differences = Vec::new();
    for path in paths {
        let (left, right) = (stored.get(path), again.get(path));
        if left == right {
            continue;
        }
        let (offset, text) = match (left, right) {
            (
                Some(Entry::File { blob: left, size: left_b, .. }),
                Some(Entry::File { blob: right, size: right_b, .. }),
            ) => {
                let offset = first_difference(engine, *left, *right)?;
                let text = match offset {
                    Some(offset) => {
                        format!("differs from byte {offset} on ({left_b} and {right_b} bytes)")
                    }
                    None => "differs in being executable".to_owned(),
                };
                (offset, text)
            }
            (Some(_), None) => (None, "was not made the second time".to_owned()),
            (None, Some(_)) => (None, "was made only the second time".to_owned()),
            _ => (None, "is of another kind".to_owned()),
        };
        differences.push(Difference { path: path.to_string(), offset, text });
    }
    Ok(differences)
}

fn first_difference(engine: &Engine, left: BlobId, right: BlobId) -> Result<Option<u64>, Problem> {
    if left == right {
        return Ok(None);
    }
    let (left, right) = (engine.store.blob_bytes(left)?, engine.store.blob_bytes(right)?);
    let same = left
        .bytes()
        .zip(right.bytes())
        .take_while(|(a, b)| matches!((a, b), (Ok(a), Ok(b)) if a == b));
    Ok(Some(same.count() as u64))
}
