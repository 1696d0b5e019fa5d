//! Brings an image in: from a layout, an archive or the host, into its place on disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use kbs_plan::error::{Class, Help};

use crate::archive::{Budget, Contents, Role, UnpackError, decompress, seal, unpack};
use crate::bundle::{self, BundleError, Found, Members, Shape};
use crate::digest::ImageDigest;
use crate::host::{HostError, HostRequest, Selection};
use crate::images::{CONFIG, INFO, ImageInfo, Images, MANIFEST, ROOTFS, sync_dir};
use crate::inspect;
use crate::manifest::{Config, canonical_config, canonical_manifest};
use crate::request::Progress;
use crate::staging::Staging;

/// Where an image comes from.
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub enum Import<'a> {
    /// An OCI image layout.
    Layout {
        /// Its directory.
        dir: &'a Path,
        /// The tag or digest of one image, where it holds several.
        reference: Option<&'a str>,
    },
    /// A tar: an OCI layout, a docker archive or a root file system, told by what is in it; plain
    /// or compressed with gzip, xz or zstd.
    Archive {
        /// What to call it: a file name, or `-`.
        name: &'a str,
        /// Its bytes. Never sought in: a pipe will do.
        stream: &'a mut dyn Read,
        /// The tag or digest of one image, where it holds several.
        reference: Option<&'a str>,
    },
    /// A snapshot of programs of this machine.
    Host(&'a HostRequest),
}

/// An image could not be imported. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The image is another one than was asked for.
    #[error("the image is {found} and should be {expected}")]
    Mismatch {
        /// What was asked for.
        expected: ImageDigest,
        /// What it is.
        found: ImageDigest,
    },
    /// A tag was given for something that has none.
    #[error("cannot choose `{reference}`: the archive is a root file system, not a set of images")]
    NoReferences {
        /// What was asked for.
        reference: String,
    },
    /// The archive cannot be unpacked.
    #[error("cannot unpack `{name}`")]
    Unpack {
        /// What the archive is called.
        name: String,
        /// Why.
        source: UnpackError,
    },
    /// The layout or docker archive does not give the image.
    #[error("cannot take the image out of `{name}`")]
    Bundle {
        /// What the archive or directory is called.
        name: String,
        /// Why.
        source: BundleError,
    },
    /// The host does not have what was asked for.
    #[error("cannot make an image of this host's programs")]
    Host(#[from] HostError),
    /// The state directory refused.
    #[error("cannot {action} in the state directory")]
    Disk {
        /// What was being done.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Help for ImportError {
    fn class(&self) -> Class {
        match self {
            Self::Mismatch { .. } | Self::NoReferences { .. } => Class::User,
            Self::Unpack { source, .. } => source.class(),
            Self::Bundle { source, .. } => source.class(),
            Self::Host(source) => source.class(),
            Self::Disk { .. } => Class::Environment,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Mismatch { found, .. } => {
                Some(format!("get the image from whoever named it, or ask for {found}"))
            }
            Self::NoReferences { .. } => Some("leave the reference out".to_owned()),
            Self::Unpack { source, .. } => source.help(),
            Self::Bundle { source, .. } => source.help(),
            Self::Host(source) => source.help(),
            Self::Disk { .. } => Some("see that it is writable and has room".to_owned()),
        }
    }
}

impl Images {
    /// Imports an image; one that is here already is returned as it is.
    ///
    /// `expected` refuses every image but that one; `now_unix_s` is recorded. `progress` is called
    /// now and then on the calling thread. All is on disk when this returns.
    ///
    /// # Errors
    /// [`ImportError`]; nothing was kept.
    pub fn import(
        &self,
        what: Import<'_>,
        expected: Option<&ImageDigest>,
        now_unix_s: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ImageInfo, ImportError> {
        let staging = Staging::new(&self.scratch).map_err(disk("make a staging directory"))?;
        let session = Session { images: self, staging, expected, now_unix_s, progress };
        match what {
            Import::Layout { dir, reference } => {
                let name = dir.display().to_string();
                session.bundle(&name, dir, Shape::Oci, reference)
            }
            Import::Archive { name, stream, reference } => session.archive(name, stream, reference),
            Import::Host(request) => session.host(request),
        }
    }
}

/// One import on its way.
struct Session<'a> {
    images: &'a Images,
    staging: Staging,
    expected: Option<&'a ImageDigest>,
    now_unix_s: u64,
    progress: &'a mut dyn FnMut(Progress),
}

/// An image whose root file system is staged.
struct Draft {
    manifest: Vec<u8>,
    config: Vec<u8>,
    contents: Contents,
    origin: String,
    packages: std::collections::BTreeMap<String, String>,
}

impl Session<'_> {
    fn archive(
        self,
        name: &str,
        stream: &mut dyn Read,
        reference: Option<&str>,
    ) -> Result<ImageInfo, ImportError> {
        let unpack_error = |source| ImportError::Unpack { name: name.to_owned(), source };
        let (mut tree, dir) = self.staging.tree(ROOTFS).map_err(disk("make a directory"))?;
        let mut plain = decompress(stream).map_err(|e| unpack_error(UnpackError::Read(e)))?;
        let budget = Budget::new(self.images.limits);
        unpack(&mut plain, Role::Whole, &mut tree, &budget, self.progress).map_err(unpack_error)?;
        drop((tree, plain));
        let shape = Members::open(&dir).and_then(|members| bundle::shape(&members));
        match (shape.map_err(|source| bundle_error(name, source))?, reference) {
            (Shape::RootFs, None) => {}
            (Shape::RootFs, Some(reference)) => {
                return Err(ImportError::NoReferences { reference: reference.to_owned() });
            }
            (shape, reference) => {
                let packed = self.staging.path().join("packed");
                fs::rename(&dir, &packed).map_err(disk("rename a directory"))?;
                return self.bundle(name, &packed, shape, reference);
            }
        }
        let contents = seal(&dir).map_err(disk("read the unpacked files"))?;
        let (config, manifest) = documents(&inspect::architecture(&dir), &contents);
        let packages = inspect::packages(&dir);
        self.finish(Draft { manifest, config, contents, origin: name.to_owned(), packages })
    }

    fn bundle(
        self,
        name: &str,
        dir: &Path,
        shape: Shape,
        reference: Option<&str>,
    ) -> Result<ImageInfo, ImportError> {
        let bundle_error = |source| bundle_error(name, source);
        let members = Members::open(dir).map_err(bundle_error)?;
        let found = bundle::find(&members, shape, reference).map_err(bundle_error)?;
        let Found { manifest, config, layers, label } = found;
        if let Some(known) = manifest.as_ref().map(|bytes| ImageDigest::of(bytes)) {
            self.accept(known)?;
            if let Some(info) = self.images.get(&known) {
                (self.progress)(Progress::Named { digest: known, is_here: true });
                return Ok(info);
            }
        }
        let (mut tree, root) = self.staging.tree(ROOTFS).map_err(disk("make a directory"))?;
        let budget = Budget::new(self.images.limits);
        let sizes = bundle::apply(&members, &layers, &mut tree, &budget, self.progress)
            .map_err(bundle_error)?;
        drop(tree);
        let manifest = manifest.unwrap_or_else(|| {
            let tars: Vec<_> = layers.iter().map(|layer| layer.diff_id).zip(sizes).collect();
            canonical_manifest(&config, &tars)
        });
        let contents = seal(&root).map_err(disk("read the unpacked files"))?;
        let packages = inspect::packages(&root);
        let origin = format!("{name} ({label})");
        self.finish(Draft { manifest, config, contents, origin, packages })
    }

    fn host(self, request: &HostRequest) -> Result<ImageInfo, ImportError> {
        let selection = Selection::of(request, self.progress)?;
        let (mut tree, root) = self.staging.tree(ROOTFS).map_err(disk("make a directory"))?;
        let contents = selection.copy(&mut tree, &root, self.progress)?;
        drop(tree);
        let (config, manifest) = documents(&inspect::architecture(&root), &contents);
        let origin = format!("host: {}", request.names().join(" "));
        let packages = selection.packages;
        self.finish(Draft { manifest, config, contents, origin, packages })
    }

    fn accept(&self, found: ImageDigest) -> Result<(), ImportError> {
        match self.expected {
            Some(expected) if *expected != found => {
                Err(ImportError::Mismatch { expected: *expected, found })
            }
            _ => Ok(()),
        }
    }

    fn finish(self, draft: Draft) -> Result<ImageInfo, ImportError> {
        let Draft { manifest, config, contents, origin, packages } = draft;
        let digest = ImageDigest::of(&manifest);
        self.accept(digest)?;
        let here = self.images.get(&digest);
        (self.progress)(Progress::Named { digest, is_here: here.is_some() });
        if let Some(info) = here {
            return Ok(info);
        }
        let parsed: Config = serde_json::from_slice(&config)
            .map_err(|error| disk("read the configuration")(error.into()))?;
        let info = ImageInfo {
            digest,
            origin,
            architecture: parsed.architecture,
            env: parsed.runtime.and_then(|runtime| runtime.env).unwrap_or_default(),
            rootfs: contents.digest,
            size_b: contents.size_b,
            files: contents.files,
            packages,
            programs: inspect::programs(&self.staging.path().join(ROOTFS)),
            created_unix_s: self.now_unix_s,
        };
        self.install(&info, &manifest, &config).map_err(disk("install the image"))?;
        Ok(info)
    }

    /// Makes the staged image durable and moves it into its place.
    fn install(self, info: &ImageInfo, manifest: &[u8], config: &[u8]) -> io::Result<()> {
        let ready = self.staging.path().join("ready");
        fs::create_dir(&ready)?;
        fs::rename(self.staging.path().join(ROOTFS), ready.join(ROOTFS))?;
        fs::write(ready.join(MANIFEST), manifest)?;
        fs::write(ready.join(CONFIG), config)?;
        fs::write(ready.join(INFO), info.encode()?)?;
        // One call for everything: a sync of each file takes minutes where this takes seconds.
        rustix::fs::syncfs(File::open(&ready)?)?;

        fs::create_dir_all(&self.images.dir)?;
        let place = self.images.dir.join(info.digest.dir_name());
        if let Err(error) = fs::rename(&ready, &place) {
            let taken = matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            );
            if !taken {
                return Err(error);
            }
            // Somebody was faster, or what is there is damaged.
            if self.images.get(&info.digest).is_some() {
                return Ok(());
            }
            fs::rename(&place, self.staging.path().join("damaged"))?;
            fs::rename(&ready, &place)?;
        }
        sync_dir(&self.images.dir)
    }
}

/// The canonical configuration and manifest of a root file system.
fn documents(architecture: &str, contents: &Contents) -> (Vec<u8>, Vec<u8>) {
    let config = canonical_config(architecture, contents.digest);
    let manifest = canonical_manifest(&config, &[(contents.digest, contents.tar_b)]);
    (config, manifest)
}

fn bundle_error(name: &str, source: BundleError) -> ImportError {
    ImportError::Bundle { name: name.to_owned(), source }
}

fn disk(action: &'static str) -> impl Fn(io::Error) -> ImportError {
    move |source| ImportError::Disk { action, source }
}
