//! Bundles: directories that hold an image in parts, as OCI layouts and `docker save` make them.

mod docker;
mod error;
mod layers;
mod members;
mod oci;

pub use error::BundleError;
pub(crate) use layers::{Layer, apply};
pub(crate) use members::Members;

/// What an unpacked archive turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An OCI image layout.
    Oci,
    /// What `docker save` wrote before it wrote layouts, and `podman save` still does.
    Docker,
    /// A root file system.
    RootFs,
}

/// An image found in a bundle, its documents checked, its layers still packed.
#[derive(Debug)]
pub(crate) struct Found {
    /// The manifest's bytes; none where the bundle has no OCI manifest.
    pub(crate) manifest: Option<Vec<u8>>,
    /// The configuration's bytes.
    pub(crate) config: Vec<u8>,
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The name it was found under.
    pub(crate) label: String,
}

/// Tells what `members` is.
///
/// # Errors
/// [`BundleError`] where a file that decides cannot be read.
pub(crate) fn shape(members: &Members) -> Result<Shape, BundleError> {
    if members.has("oci-layout") && members.has("index.json") {
        Ok(Shape::Oci)
    } else if docker::is_one(members)? {
        Ok(Shape::Docker)
    } else {
        Ok(Shape::RootFs)
    }
}

/// Finds the image in a bundle: the only one, or the one named by `reference`.
///
/// # Errors
/// [`BundleError`].
pub(crate) fn find(
    members: &Members,
    shape: Shape,
    reference: Option<&str>,
) -> Result<Found, BundleError> {
    match shape {
        Shape::Docker => docker::find(members, reference),
        Shape::Oci | Shape::RootFs => oci::find(members, reference),
    }
}
