//! The images on disk: one directory each, complete or not there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kbs_plan::error::{Class, Help};
use serde::{Deserialize, Serialize};

use crate::archive::measure;
use crate::digest::{Digest, ImageDigest};
use crate::manifest::Manifest;
use crate::request::Limits;
use crate::staging::Staging;

pub(crate) const ROOTFS: &str = "rootfs";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const INFO: &str = "image.json";

/// The directory that holds the images.
///
/// `sha256-<hex>/` has `rootfs/`, the exact bytes of `manifest.json` and `config.json`, and
/// `image.json`, what we know of it ourselves.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) dir: PathBuf,
    pub(crate) scratch: PathBuf,
    /// What one image may unpack to.
    pub limits: Limits,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInfo {
    /// Its name.
    pub digest: ImageDigest,
    /// Where it came from, for people.
    pub origin: String,
    /// The machine it is for, as OCI says it: `amd64`.
    pub architecture: String,
    /// The environment its makers want, as `NAME=value`; covered by the digest.
    #[serde(default)]
    pub env: Vec<String>,
    /// The digest of its root file system as one canonical tar, whatever its layers are.
    pub rootfs: Digest,
    /// The sum of the sizes of its files in bytes.
    pub size_b: u64,
    /// The number of its files.
    pub files: u64,
    /// Debian packages with their versions, where known. Not covered by the digest.
    #[serde(default)]
    pub packages: std::collections::BTreeMap<String, String>,
    /// Compilers, interpreters and build programs found in it, by file name.
    #[serde(default)]
    pub programs: Vec<String>,
    /// When it was imported, in seconds since 1970.
    pub created_unix_s: u64,
}

/// The content of `image.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The digest of `image`, written as compactly as can be.
    sum: Digest,
    image: ImageInfo,
}

impl ImageInfo {
    /// The content of `image.json`.
    pub(crate) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let record = Record { sum: self.sum()?, image: self.clone() };
        serde_json::to_vec_pretty(&record)
    }

    /// The image that `image.json` speaks of. Those of older versions have no sum.
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Ok(Record { sum, image }) = serde_json::from_slice(bytes) else {
            return serde_json::from_slice(bytes).map_err(|error| error.to_string());
        };
        let found = image.sum().map_err(|error| error.to_string())?;
        if found == sum { Ok(image) } else { Err("it does not have its sum".to_owned()) }
    }

    fn sum(&self) -> serde_json::Result<Digest> {
        serde_json::to_vec(self).map(|bytes| Digest::of(&bytes))
    }
}

/// What is wrong with the documents of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsound {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// The images on disk could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// No such image, or one that is damaged.
    #[error("there is no image {digest}")]
    Missing {
        /// The image.
        digest: ImageDigest,
    },
    /// The root file system is not what was imported.
    #[error("the image {digest} is damaged: its files are {found} and should be {expected}")]
    Damaged {
        /// The image.
        digest: ImageDigest,
        /// What was imported.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The file system refused.
    #[error("cannot work with the images in {}", path.display())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Help for ImagesError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::NotFound,
            Self::Damaged { .. } | Self::Disk { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("import it with `kbs image import`".to_owned()),
            Self::Damaged { digest, .. } => {
                Some(format!("remove it with `kbs image rm {digest}` and import it again"))
            }
            Self::Disk { .. } => None,
        }
    }
}

impl Images {
    /// Keeps images in `dir`, unpacking them in `scratch` first: both exist or can be made, on
    /// one file system.
    pub fn new(dir: PathBuf, scratch: PathBuf) -> Self {
        Self { dir, scratch, limits: Limits::default() }
    }

    /// What is known of an image; `None` where it is not there or its documents are damaged.
    ///
    /// The files are not looked at: that is [`Self::verify`].
    pub fn get(&self, digest: &ImageDigest) -> Option<ImageInfo> {
        self.check(digest).ok()
    }

    /// What is known of an image, or why that cannot be believed.
    ///
    /// # Errors
    /// [`Unsound`], also where there is no such image.
    pub fn check(&self, digest: &ImageDigest) -> Result<ImageInfo, Unsound> {
        let dir = self.dir.join(digest.dir_name());
        let unsound = |name: &str, problem: String| Unsound { path: dir.join(name), problem };
        let read = |name: &str| {
            fs::read(dir.join(name))
                .map_err(|error| unsound(name, format!("it cannot be read: {error}")))
        };
        let is = |name: &str, found: &Digest, wanted: &Digest| {
            if found == wanted {
                Ok(())
            } else {
                Err(unsound(name, format!("its digest is {found} and should be {wanted}")))
            }
        };
        let info = ImageInfo::decode(&read(INFO)?).map_err(|problem| unsound(INFO, problem))?;
        is(INFO, &info.digest, digest)?;
        let manifest = read(MANIFEST)?;
        is(MANIFEST, &Digest::of(&manifest), digest)?;
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .map_err(|error| unsound(MANIFEST, error.to_string()))?;
        is(CONFIG, &Digest::of(&read(CONFIG)?), &manifest.config.digest)?;
        match dir.join(ROOTFS).symlink_metadata() {
            Ok(found) if found.is_dir() => Ok(info),
            Ok(_) => Err(unsound(ROOTFS, "it is not a directory".to_owned())),
            Err(error) => Err(unsound(ROOTFS, format!("it cannot be looked at: {error}"))),
        }
    }

    /// The root file system of an image, under the conditions of [`Self::get`].
    pub fn rootfs(&self, digest: &ImageDigest) -> Option<PathBuf> {
        self.get(digest)?;
        Some(self.dir.join(digest.dir_name()).join(ROOTFS))
    }

    /// Every sound image, by digest.
    ///
    /// # Errors
    /// [`ImagesError::Disk`]; a directory that does not exist holds no images.
    pub fn list(&self) -> Result<Vec<ImageInfo>, ImagesError> {
        Ok(self.digests()?.iter().filter_map(|digest| self.get(digest)).collect())
    }

    /// Every image that is there, sound or not, in order.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn digests(&self) -> Result<Vec<ImageDigest>, ImagesError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| self.disk(source))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| self.disk(source))?.file_name();
            found.extend(name.to_str().and_then(Digest::of_dir_name));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes an image, damaged or not. It is gone at once; its files follow.
    ///
    /// # Errors
    /// [`ImagesError::Missing`], [`ImagesError::Disk`].
    pub fn remove(&self, digest: &ImageDigest) -> Result<(), ImagesError> {
        let staging = Staging::new(&self.scratch).map_err(|source| self.disk(source))?;
        match fs::rename(self.dir.join(digest.dir_name()), staging.path().join("removed")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ImagesError::Missing { digest: *digest });
            }
            moved => moved.map_err(|source| self.disk(source))?,
        }
        sync_dir(&self.dir).and_then(|()| staging.close()).map_err(|source| self.disk(source))
    }

    /// Reads every file of an image and compares it with what was imported.
    ///
    /// # Errors
    /// [`ImagesError`]; [`ImagesError::Damaged`] where anything differs but owners and times.
    pub fn verify(&self, digest: &ImageDigest) -> Result<(), ImagesError> {
        let info = self.get(digest).ok_or(ImagesError::Missing { digest: *digest })?;
        let rootfs = self.dir.join(digest.dir_name()).join(ROOTFS);
        let found = measure(&rootfs).map_err(|source| self.disk(source))?.digest;
        if found == info.rootfs {
            Ok(())
        } else {
            Err(ImagesError::Damaged { digest: *digest, expected: info.rootfs, found })
        }
    }

    fn disk(&self, source: io::Error) -> ImagesError {
        ImagesError::Disk { path: self.dir.clone(), source }
    }
}

/// Makes what was renamed into `dir`, or out of it, last.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
