//! Makes a socket to the kernel's ciphers.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
socket.socket(38, socket.SOCK_SEQPACKET)
escaped('a cipher socket')
";

#[test]
fn there_are_no_cipher_sockets() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::Filter]);
        }
    });
}
