//! Connecting to a daemon over its unix socket.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// Largest message either side takes, in bytes.
pub const MESSAGE_MAX_B: usize = 64 << 20;

/// Longest path that the address of a unix socket holds, in bytes.
const SOCKET_PATH_MAX_B: usize = 107;
/// Opens a directory without reading it; the value is that of Linux on every machine kbs runs on.
const O_PATH: i32 = 0o10_000_000;

/// Connects to the daemon that listens on `socket`, however long its path is.
///
/// # Errors
/// The transport's error; its source is the [`std::io::Error`] of the socket.
pub async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket = socket.to_owned();
    // The URI is required and never used: every connection goes to the socket.
    Endpoint::from_static("http://kbsd.local")
        .connect_with_connector(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                let (_dir, socket) = within_reach(socket)?;
                UnixStream::connect(socket).await.map(TokioIo::new)
            }
        }))
        .await
}

/// A path of `socket` that fits into an address, good for as long as the directory stays open.
fn within_reach(socket: PathBuf) -> Result<(Option<File>, PathBuf), Error> {
    if socket.as_os_str().len() <= SOCKET_PATH_MAX_B {
        return Ok((None, socket));
    }
    let (Some(dir), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let dir = OpenOptions::new().read(true).custom_flags(O_PATH).open(dir)?;
    let socket = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((Some(dir), socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_shortened_and_short_ones_kept() {
        let short = PathBuf::from("/run/kbs/kbsd.sock");
        assert_eq!(within_reach(short.clone()).unwrap().1, short);
        let base = std::env::temp_dir().join(format!("kbs-{}", std::process::id()));
        let dir = base.join("x".repeat(120));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("kbsd.sock"), "here").unwrap();
        let (open, path) = within_reach(dir.join("kbsd.sock")).unwrap();
        assert!(open.is_some() && path.as_os_str().len() <= SOCKET_PATH_MAX_B);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "here");
        std::fs::remove_dir_all(base).unwrap();
    }
}
