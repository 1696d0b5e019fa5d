//! Connects to a unix socket of the host that lies in the image.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
    service::unix_service,
};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect('/etc/socket')
escaped('connected')
";

/// What holds is that an overlay's files are not those below it; without the wall, the image is
/// shown by mounts of its directories.
#[test]
fn sockets_in_the_image_are_out_of_reach() {
    as_each_user(|kit| {
        let _service = unix_service(kit, &image(kit).join("etc/socket"));
        attempt(kit, SCRIPT).held_by(&[Wall::ReadOnly]);
    });
}
