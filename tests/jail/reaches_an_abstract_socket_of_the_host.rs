//! Connects to a unix socket of the host that has no path.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixListener},
};

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect('\0' + os.environ['NAME'])
escaped('connected')
";

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    as_each_user(|kit| {
        let name = kit.dir.path().display().to_string();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _service = UnixListener::bind_addr(&address).unwrap();
        attempt(kit, SCRIPT).env("NAME", name).held_by(&[Wall::NetNamespace, Wall::Landlock]);
    });
}
