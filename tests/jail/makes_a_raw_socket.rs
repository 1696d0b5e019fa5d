//! Makes a raw socket in a network namespace of its own, where it has every capability.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
gain_capabilities(0x40000000)
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
escaped('a raw socket')
";

#[test]
fn there_are_no_raw_sockets() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
