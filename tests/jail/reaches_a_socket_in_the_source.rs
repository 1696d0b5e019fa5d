//! Connects to a unix socket of the host that lies in the source.

use crate::{attempt::attempt, kit::as_each_user, service::unix_service};

const SCRIPT: &str = r"
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(os.environ.get('AT', 'socket'))
escaped('connected')
";

/// A socket that lies in the jail's overlay is not the one below it, which the host listens on.
#[test]
fn sockets_in_the_source_are_out_of_reach() {
    as_each_user(|kit| {
        let at = kit.source().join("socket");
        let _service = unix_service(kit, &at);
        attempt(kit, SCRIPT).held();
        assert!(attempt(kit, SCRIPT).env_path("AT", &at).host_can());
    });
}
