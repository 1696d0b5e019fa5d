//! Why an image cannot be taken out of a bundle.

use std::io;
use std::path::PathBuf;

use kbs_plan::error::{Class, Help};

use crate::archive::UnpackError;
use crate::digest::Digest;

/// An image could not be taken out of an OCI layout or a docker archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The directory cannot be opened.
    #[error("cannot open the image layout {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the bundle is missing, is not a plain file, or leads out of the bundle.
    #[error("cannot read `{member}` of the image")]
    Member {
        /// The file.
        member: String,
        /// Why.
        source: io::Error,
    },
    /// A document is not what it should be.
    #[error("cannot understand `{member}` of the image")]
    Parse {
        /// The file.
        member: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// Bytes differ from what names them.
    #[error("`{member}` of the image is damaged: it should be {expected} and is {found}")]
    Damaged {
        /// The file.
        member: String,
        /// The digest it is named by.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A file has another size than its descriptor says.
    #[error("`{member}` of the image is damaged: it should have {expected_b} bytes")]
    Size {
        /// The file.
        member: String,
        /// The size it should have.
        expected_b: u64,
    },
    /// The bundle holds no image.
    #[error("there is no image in it")]
    Empty,
    /// The bundle holds several images and none was chosen.
    #[error("there are several images in it: {}", names.join(", "))]
    Ambiguous {
        /// What they are called.
        names: Vec<String>,
    },
    /// No image is called so.
    #[error("there is no image `{reference}` in it: it has {}", names.join(", "))]
    NoReference {
        /// What was asked for.
        reference: String,
        /// What there is.
        names: Vec<String>,
    },
    /// No image for this machine.
    #[error("there is no image for {wanted} in it: it has {}", platforms.join(", "))]
    NoPlatform {
        /// The machine, as `linux/amd64`.
        wanted: String,
        /// What there is.
        platforms: Vec<String>,
    },
    /// It is something else that registries store.
    #[error("`{member}` is not a container image but {media_type:?}")]
    NotAnImage {
        /// The file.
        member: String,
        /// What it says it is.
        media_type: String,
    },
    /// Manifest and configuration disagree.
    #[error("the manifest lists {layers} layers and the configuration {diff_ids}")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack the layer `{member}`")]
    Layer {
        /// The layer's file.
        member: String,
        /// Why.
        source: UnpackError,
    },
}

impl Help for BundleError {
    fn class(&self) -> Class {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Class::NotFound
            }
            Self::Open { .. } => Class::Environment,
            Self::NoReference { .. } => Class::NotFound,
            Self::Layer { source, .. } => source.class(),
            _ => Class::User,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Ambiguous { .. } | Self::NoReference { .. } => {
                Some("name one of them with `--reference`".to_owned())
            }
            Self::Damaged { .. } | Self::Size { .. } | Self::LayerCount { .. } => {
                Some("save or download the image again".to_owned())
            }
            Self::NoPlatform { wanted, .. } => {
                Some(format!("pull the image with `--platform {wanted}` and save it again"))
            }
            Self::Layer { source, .. } => source.help(),
            _ => None,
        }
    }
}
