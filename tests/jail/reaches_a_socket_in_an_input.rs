//! Connects to a unix socket of the host that lies in an input.

use kbs_sandbox::{Outcome, Wall};

use crate::{attempt::attempt, kit::as_each_user, service::unix_service};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect('/build/in/socket')
escaped('connected')
";

#[test]
fn sockets_in_inputs_are_out_of_reach() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        let _service = unix_service(kit, &dir.join("socket"));
        attempt(kit, SCRIPT).input(&dir, "/build/in").held_by(&[Wall::ReadOnly]);
    });
}

#[test]
fn a_socket_is_no_input() {
    as_each_user(|kit| {
        let at = kit.dir.path().join("socket");
        let _service = unix_service(kit, &at);
        let spec = attempt(kit, SCRIPT).input(&at, "/build/in/socket").spec(&[]);
        let outcome = kit.run(&spec).finished.outcome;
        assert!(matches!(outcome, Outcome::SetupFailed(_)), "{outcome:?}");
    });
}
