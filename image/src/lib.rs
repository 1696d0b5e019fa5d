//! OCI toolchain images: an archive, a layout or the host becomes a digest and a root file system.
//!
//! Layer: disk. Sync; no network. Images live in a directory given by the caller, each under the
//! digest of its manifest, and appear there whole or not at all.

mod archive;
mod bundle;
mod digest;
mod host;
mod images;
mod import;
mod inspect;
mod manifest;
mod request;
mod rooted;
mod staging;

pub use archive::UnpackError;
pub use bundle::BundleError;
pub use digest::{Digest, DigestError, ImageDigest};
pub use host::{HostError, HostRequest};
pub use images::{ImageInfo, Images, ImagesError, Unsound};
pub use import::{Import, ImportError};
pub use request::{Limits, Progress};
