//! The contract between kbs and kbsd, and the border where it becomes checked values.
//!
//! Layer: wire. Only this crate, the daemon's services and clients name a [`pb`] type.

pub mod border;
pub mod client;
pub mod status;

/// Generated messages and services.
#[allow(
    warnings,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::str_to_string,
    clippy::unwrap_used,
    reason = "generated"
)]
pub mod pb {
    tonic::include_proto!("kbs.v1");
}
