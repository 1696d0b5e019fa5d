//! Sends an open directory to a process of the host.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect('\0' + os.environ['NAME'])
socket.send_fds(s, [b'x'], [os.open('/build/src', os.O_RDONLY)])
escaped('sent')
";

#[test]
fn no_descriptor_gets_out() {
    as_each_user(|kit| {
        let name = kit.dir.path().display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _accomplice = UnixDatagram::bind_addr(&address).unwrap();
        attempt(kit, SCRIPT).env("NAME", name).held_by(&[Wall::NetNamespace, Wall::Landlock]);
    });
}
