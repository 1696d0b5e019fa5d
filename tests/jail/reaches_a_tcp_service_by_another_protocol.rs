//! Connects to a service of the host by multipath TCP, which falls back to TCP and which Landlock
//! does not count as TCP.

use std::net::TcpListener;

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
MPTCP = 262
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
s.settimeout(5)
s.connect(('127.0.0.1', int(os.environ['PORT'])))
escaped('connected')
";

#[test]
fn no_other_protocol_reaches_what_tcp_does_not() {
    as_each_user(|kit| {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let attempt = attempt(kit, SCRIPT).env("PORT", service.local_addr().unwrap().port());
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::NetNamespace, Wall::Filter]);
        }
    });
}
