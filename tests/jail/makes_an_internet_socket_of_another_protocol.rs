//! Tries every protocol that internet sockets may have.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
made = set()
for protocol in range(0, 300):
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in range(1, 7):
            try:
                socket.socket(family, kind, protocol).close()
                made.add(protocol)
            except OSError:
                pass
if made == {0, socket.IPPROTO_TCP, socket.IPPROTO_UDP}:
    held('TCP and UDP')
escaped(made)
";

#[test]
fn internet_sockets_speak_tcp_and_udp_only() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
