//! Connects to a unix socket of the host by the way up from the root; Landlock has no word on it.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, service::unix_service};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect('/..' + os.environ['AT'])
escaped('connected')
";

#[test]
fn sockets_of_the_host_are_out_of_reach() {
    as_each_user(|kit| {
        let at = kit.dir.path().join("socket");
        let _service = unix_service(kit, &at);
        attempt(kit, SCRIPT).env_path("AT", &at).entry_by_entry().held_by(&[Wall::OldRoot]);
    });
}
