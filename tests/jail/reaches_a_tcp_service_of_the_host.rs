//! Connects to a service that listens on the host's loopback interface.

use std::net::TcpListener;

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), timeout=5)
escaped('connected')
";

#[test]
fn tcp_services_of_the_host_are_out_of_reach() {
    as_each_user(|kit| {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        attempt(kit, SCRIPT)
            .env("PORT", service.local_addr().unwrap().port())
            .held_by(&[Wall::NetNamespace, Wall::Landlock]);
    });
}
