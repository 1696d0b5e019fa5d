//! Sends a datagram to a service on the host's loopback interface and waits for its answer.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, echo::Echo, kit::as_each_user};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('127.0.0.1', int(os.environ['PORT'])))
s.send(b'hello')
escaped(s.recv(100))
";

#[test]
fn udp_services_of_the_host_are_out_of_reach() {
    as_each_user(|kit| {
        let echo = Echo::start();
        attempt(kit, SCRIPT).env("PORT", echo.port()).held_by(&[Wall::NetNamespace]);
    });
}
