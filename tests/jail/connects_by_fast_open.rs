//! Connects to a service of the host's loopback interface by sending at once, which Landlock's rules do
//! not know.

use std::net::TcpListener;

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
MSG_FASTOPEN = 0x20000000
stream = socket.socket()
stream.settimeout(5)
stream.sendto(b'hello', MSG_FASTOPEN, ('127.0.0.1', int(os.environ['PORT'])))
escaped('sent')
";

#[test]
fn no_service_of_the_host_is_reached_by_sending_at_once() {
    as_each_user(|kit| {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let attempt = attempt(kit, SCRIPT).env("PORT", service.local_addr().unwrap().port());
        attempt.held();
        assert!(!attempt.in_jail(&[Wall::Landlock]).escaped());
        if attempt.host_can() {
            assert!(attempt.in_jail(&[Wall::NetNamespace]).escaped(), "Landlock holds it by now");
        }
    });
}
