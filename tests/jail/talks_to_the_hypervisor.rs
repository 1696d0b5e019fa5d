//! Makes a socket to the machine that this machine is a guest of; no network namespace separates
//! those.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
socket.socket(40, socket.SOCK_STREAM)
escaped('a vsock socket')
";

#[test]
fn there_are_no_sockets_to_a_hypervisor() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::Filter]);
        }
    });
}
