//! Layers, unpacked one over the other and checked as they are read.

use std::io::{self, BufReader};

use super::{BundleError, Members};
use crate::archive::{Budget, Role, StagedTree, UnpackError, decompress, unpack};
use crate::digest::{Digest, Hashing};
use crate::request::Progress;

const BUFFER_B: usize = 256 << 10;

/// One packed layer.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its file in the bundle.
    pub(crate) member: String,
    /// Digest and size in bytes of that file, where the bundle says so.
    pub(crate) packed: Option<(Digest, u64)>,
    /// The digest of its tar, uncompressed.
    pub(crate) diff_id: Digest,
}

/// Unpacks `layers` into `tree`, lowest first; returns the size of each uncompressed tar in bytes.
///
/// # Errors
/// [`BundleError`]; what was unpacked must then be thrown away.
pub(crate) fn apply(
    members: &Members,
    layers: &[Layer],
    tree: &mut StagedTree,
    budget: &Budget,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<u64>, BundleError> {
    let mut role = Role::BaseLayer;
    let mut sizes = Vec::with_capacity(layers.len());
    for Layer { member, packed, diff_id } in layers {
        let (file, size_b) = members.file(member)?;
        if let Some((_, expected_b)) = *packed
            && expected_b != size_b
        {
            return Err(BundleError::Size { member: member.clone(), expected_b });
        }
        let mut raw = Hashing::new(file);
        let unpacked = unpack_one(&mut raw, role, tree, budget, progress);
        // A damaged file also fails to unpack; that it is damaged is the better news.
        io::copy(&mut raw, &mut io::sink())
            .map_err(|source| BundleError::Member { member: member.clone(), source })?;
        if let Some((expected, _)) = *packed {
            matches(member, expected, raw.finish().0)?;
        }
        let (found, tar_b) =
            unpacked.map_err(|source| BundleError::Layer { member: member.clone(), source })?;
        matches(member, *diff_id, found)?;
        sizes.push(tar_b);
        role = Role::UpperLayer;
    }
    Ok(sizes)
}

fn unpack_one(
    raw: &mut Hashing<std::fs::File>,
    role: Role,
    tree: &mut StagedTree,
    budget: &Budget,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Digest, u64), UnpackError> {
    let plain = Hashing::new(decompress(raw).map_err(UnpackError::Read)?);
    let mut buffered = BufReader::with_capacity(BUFFER_B, plain);
    unpack(&mut buffered, role, tree, budget, progress)?;
    Ok(buffered.into_inner().finish())
}

fn matches(member: &str, expected: Digest, found: Digest) -> Result<(), BundleError> {
    if found == expected {
        Ok(())
    } else {
        Err(BundleError::Damaged { member: member.to_owned(), expected, found })
    }
}
