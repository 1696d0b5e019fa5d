//! OCI image layouts: `index.json` leads to one manifest, every step checked by digest.

use std::collections::BTreeSet;

use super::members::{Members, blob_path, parse};
use super::{BundleError, Found, Layer};
use crate::manifest::{Config, Descriptor, Index, Manifest, Platform, host_architecture};

/// An index of an index is usual; more is a puzzle.
const DEPTH_MAX: usize = 4;

pub(super) fn find(members: &Members, reference: Option<&str>) -> Result<Found, BundleError> {
    let index: Index = parse("index.json", &members.bytes("index.json")?)?;
    let mut chosen = choose_name(index.manifests, reference)?;
    let label = reference.map_or_else(|| chosen.label(), str::to_owned);
    for _ in 0..DEPTH_MAX {
        let bytes = members.blob(&chosen)?;
        let member = blob_path(chosen.digest);
        if chosen.is_index() {
            let index: Index = parse(&member, &bytes)?;
            chosen = choose_platform(index.manifests)?;
        } else if chosen.is_manifest() {
            return open_manifest(members, &member, bytes, label);
        } else {
            let media_type = chosen.media_type;
            return Err(BundleError::NotAnImage { member, media_type });
        }
    }
    Err(BundleError::NotAnImage { member: label, media_type: chosen.media_type })
}

fn open_manifest(
    members: &Members,
    member: &str,
    bytes: Vec<u8>,
    label: String,
) -> Result<Found, BundleError> {
    let manifest: Manifest = parse(member, &bytes)?;
    if let Some(other) = manifest.layers.iter().find(|layer| !layer.is_layer()) {
        let media_type = other.media_type.clone();
        return Err(BundleError::NotAnImage { member: member.to_owned(), media_type });
    }
    let config = members.blob(&manifest.config)?;
    let parsed: Config = parse(&blob_path(manifest.config.digest), &config)?;
    let diff_ids = parsed.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let layers = manifest.layers.len();
        return Err(BundleError::LayerCount { layers, diff_ids: diff_ids.len() });
    }
    let layers = manifest.layers.iter().zip(diff_ids).map(|(layer, diff_id)| Layer {
        member: blob_path(layer.digest),
        packed: Some((layer.digest, layer.size)),
        diff_id,
    });
    Ok(Found { manifest: Some(bytes), config, layers: layers.collect(), label })
}

/// Chooses among the entries of a layout's own index.
fn choose_name(
    mut entries: Vec<Descriptor>,
    reference: Option<&str>,
) -> Result<Descriptor, BundleError> {
    let names: BTreeSet<String> = entries.iter().map(Descriptor::label).collect();
    let names: Vec<String> = names.into_iter().collect();
    match reference {
        Some(wanted) => {
            entries.retain(|entry| {
                entry.names().any(|name| name == wanted) || entry.digest.to_string() == wanted
            });
            if entries.is_empty() {
                return Err(BundleError::NoReference { reference: wanted.to_owned(), names });
            }
        }
        // Entries that differ in name are different images, whatever machines they are for.
        None if is_several(&entries) => return Err(BundleError::Ambiguous { names }),
        None => {}
    }
    choose_platform(entries)
}

fn is_several(entries: &[Descriptor]) -> bool {
    let named: Vec<_> = entries.iter().filter(|entry| entry.names().next().is_some()).collect();
    let labels: BTreeSet<_> = named.iter().map(|entry| entry.label()).collect();
    let digests: BTreeSet<_> = named.iter().map(|entry| entry.digest).collect();
    labels.len() > 1 && digests.len() > 1
}

/// Chooses the one image for this machine; an only entry without a platform is taken as it is.
fn choose_platform(mut entries: Vec<Descriptor>) -> Result<Descriptor, BundleError> {
    // One image may be listed under several names.
    entries.sort_by_key(|entry| entry.digest);
    entries.dedup_by_key(|entry| entry.digest);
    let platforms: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .collect();
    let found_any = !entries.is_empty();
    entries.retain(|entry| entry.platform.as_ref().is_none_or(Platform::is_host));
    match entries.len() {
        1 => Ok(entries.remove(0)),
        0 if found_any => Err(BundleError::NoPlatform {
            wanted: format!("linux/{}", host_architecture()),
            platforms: platforms.into_iter().collect(),
        }),
        0 => Err(BundleError::Empty),
        _ => Err(BundleError::Ambiguous { names: entries.iter().map(Descriptor::label).collect() }),
    }
}
