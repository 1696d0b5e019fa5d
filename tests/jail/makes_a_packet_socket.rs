//! Makes a socket that sees every packet, also by its old name among the internet sockets.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
gain_capabilities(0x40000000)
socket.socket(*[(socket.AF_PACKET, socket.SOCK_DGRAM), (socket.AF_INET, 10)][int(os.environ['WAY'])])
escaped('a packet socket')
";

#[test]
fn there_are_no_packet_sockets() {
    as_each_user(|kit| {
        for way in 0..2 {
            attempt(kit, SCRIPT).env("WAY", way).held_by(&[Wall::Filter, Wall::NestedNamespaces]);
        }
    });
}
