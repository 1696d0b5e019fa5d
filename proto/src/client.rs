//! Connecting to a daemon over its unix socket.

use std::path::Path;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};

/// Largest message either side takes, in bytes.
pub const MESSAGE_MAX_B: usize = 64 << 20;

/// Connects to the daemon that listens on `socket`.
///
/// # Errors
/// The transport's error; its source is the [`std::io::Error`] of the socket.
pub async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket = socket.to_owned();
    // The URI is required and never used: every connection goes to the socket.
    Endpoint::from_static("http://kbsd.local")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
}
