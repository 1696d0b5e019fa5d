//! Docker archives: `manifest.json` names a configuration and layers by path.

use serde::Deserialize;

use super::members::{Members, parse};
use super::{BundleError, Found, Layer};
use crate::digest::Digest;
use crate::manifest::Config;

const LIST: &str = "manifest.json";

/// One image of the archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Image {
    fn tags(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    fn label(&self) -> &str {
        self.tags().first().unwrap_or(&self.config)
    }
}

/// Whether there is a list of images: other programs write files of that name too.
pub(super) fn is_one(members: &Members) -> Result<bool, BundleError> {
    Ok(members.has(LIST) && serde_json::from_slice::<Vec<Image>>(&members.bytes(LIST)?).is_ok())
}

pub(super) fn find(members: &Members, reference: Option<&str>) -> Result<Found, BundleError> {
    let mut images: Vec<Image> = parse(LIST, &members.bytes(LIST)?)?;
    let names: Vec<String> = images.iter().map(|image| image.label().to_owned()).collect();
    if let Some(wanted) = reference {
        images.retain(|image| image.tags().iter().any(|tag| tag == wanted));
        if images.is_empty() {
            return Err(BundleError::NoReference { reference: wanted.to_owned(), names });
        }
    }
    let image = match images.len() {
        0 => return Err(BundleError::Empty),
        1 => images.remove(0),
        _ => return Err(BundleError::Ambiguous { names }),
    };
    let config = members.bytes(&image.config)?;
    check_name(&image.config, &config)?;
    let diff_ids = parse::<Config>(&image.config, &config)?.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        let layers = image.layers.len();
        return Err(BundleError::LayerCount { layers, diff_ids: diff_ids.len() });
    }
    let label = reference.unwrap_or(image.label()).to_owned();
    let layers = image.layers.into_iter().zip(diff_ids).map(|(member, diff_id)| Layer {
        member,
        packed: None,
        diff_id,
    });
    Ok(Found { manifest: None, config, layers: layers.collect(), label })
}

/// Archives name the configuration by its digest, as `<hex>.json` or `blobs/sha256/<hex>`.
fn check_name(member: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let (_, name) = member.rsplit_once('/').unwrap_or(("", member));
    let found = Digest::of(bytes);
    match Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)) {
        Some(expected) if expected != found => {
            Err(BundleError::Damaged { member: member.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}
