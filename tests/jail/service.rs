//! A service of the host on a unix socket.

use std::{
    os::unix::{fs::lchown, net::UnixListener},
    path::Path,
};

use crate::kit::Kit;

/// Listens there, as a service of the same user would.
pub(crate) fn unix_service(kit: &Kit, at: &Path) -> UnixListener {
    let service = UnixListener::bind(at).unwrap();
    lchown(at, Some(kit.uid()), Some(kit.uid())).unwrap();
    service
}
