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
        let dir = self.dir.join(digest.dir_name());
        let info: ImageInfo = serde_json::from_slice(&fs::read(dir.join(INFO)).ok()?).ok()?;
        let manifest = fs::read(dir.join(MANIFEST)).ok()?;
        let parsed: Manifest = serde_json::from_slice(&manifest).ok()?;
        let config = fs::read(dir.join(CONFIG)).ok()?;
        let sound = info.digest == *digest
            && Digest::of(&manifest) == *digest
            && Digest::of(&config) == parsed.config.digest
            && dir.join(ROOTFS).symlink_metadata().ok()?.is_dir();
        sound.then_some(info)
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
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| self.disk(source))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| self.disk(source))?.file_name();
            let digest = name.to_str().and_then(Digest::of_dir_name);
            found.extend(digest.and_then(|digest| self.get(&digest)));
        }
        found.sort_unstable_by_key(|info| info.digest);
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
