//! The OCI documents that are read and written: index, manifest and configuration.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// Points at bytes by digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing)]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing)]
    pub(crate) annotations: Option<Annotations>,
}

/// The machine an image is for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// The names that tools give to an image inside a layout.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Annotations {
    #[serde(rename = "org.opencontainers.image.ref.name")]
    reference: Option<String>,
    #[serde(rename = "io.containerd.image.name")]
    full_name: Option<String>,
}

/// A list of manifests.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// One image: its configuration and its layers, lowest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) schema_version: u32,
}

/// What the configuration says that matters here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) architecture: String,
    #[serde(rename = "config", default)]
    pub(crate) runtime: Option<Runtime>,
    pub(crate) os: String,
    pub(crate) rootfs: RootFs,
}

/// How a container of the image would be run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Runtime {
    #[serde(rename = "Env", default, skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<Vec<String>>,
}

/// The uncompressed layers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootFs {
    pub(crate) diff_ids: Vec<Digest>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: None }
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), INDEX_TYPE | DOCKER_INDEX_TYPE)
    }

    pub(crate) fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), MANIFEST_TYPE | DOCKER_MANIFEST_TYPE)
    }

    pub(crate) fn is_layer(&self) -> bool {
        self.media_type.contains(".tar")
    }

    /// The names this entry goes by, without its digest.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let annotations = self.annotations.as_ref();
        [
            annotations.and_then(|a| a.reference.as_deref()),
            annotations.and_then(|a| a.full_name.as_deref()),
        ]
        .into_iter()
        .flatten()
    }

    /// What a person may write to choose this entry.
    pub(crate) fn label(&self) -> String {
        self.names().next().map_or_else(|| self.digest.to_string(), str::to_owned)
    }
}

impl Platform {
    pub(crate) fn is_host(&self) -> bool {
        self.os == "linux" && self.architecture == host_architecture()
    }
}

/// The configuration of an image of one layer whose tar has this digest, in canonical bytes.
pub(crate) fn canonical_config(architecture: &str, diff_id: Digest) -> Vec<u8> {
    json(&Config {
        architecture: architecture.to_owned(),
        runtime: Some(Runtime::default()),
        os: "linux".to_owned(),
        rootfs: RootFs { diff_ids: vec![diff_id], kind: "layers".to_owned() },
    })
}

/// The manifest of an image whose layers are uncompressed tars, in canonical bytes.
///
/// `layers` pairs each digest with its size in bytes, lowest layer first.
pub(crate) fn canonical_manifest(config: &[u8], layers: &[(Digest, u64)]) -> Vec<u8> {
    json(&Manifest {
        config: Descriptor::new(CONFIG_TYPE, Digest::of(config), config.len() as u64),
        layers: layers
            .iter()
            .map(|&(digest, size)| Descriptor::new(LAYER_TYPE, digest, size))
            .collect(),
        media_type: MANIFEST_TYPE.to_owned(),
        schema_version: 2,
    })
}

fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("the documents have string keys only")
}

/// The name that OCI gives to the machine this runs on.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Changing these bytes changes the digest of every image made from a root file system.
    #[test]
    fn the_bytes_never_move() {
        let layer = Digest::of(b"layer");
        let config = canonical_config("amd64", layer);
        insta::assert_snapshot!(String::from_utf8_lossy(&config), @r#"{"architecture":"amd64","config":{},"os":"linux","rootfs":{"diff_ids":["sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"],"type":"layers"}}"#);
        let manifest = canonical_manifest(&config, &[(layer, 5)]);
        insta::assert_snapshot!(String::from_utf8_lossy(&manifest), @r#"{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:aed747014ac0e222fc8a104fb03f2b6e8094887ed3bb67a574c2fd3b1a5aea56","size":163},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85","size":5}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#);
    }
}
