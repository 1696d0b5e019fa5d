//! Asks a name server for an address.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, echo::Echo, kit::as_each_user};

const SCRIPT: &str = r"
import socket, struct
question = b'\x04host\x07example\x00' + struct.pack('>HH', 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
# Errors are told without a connection, too.
s.setsockopt(socket.IPPROTO_IP, 11, 1)
s.sendto(struct.pack('>6H', 7, 0x0100, 1, 0, 0, 0) + question,
         ('127.0.0.1', int(os.environ['PORT'])))
answer, _ = s.recvfrom(512)
escaped(struct.unpack('>H', answer[:2])[0])
";

#[test]
fn no_name_server_answers() {
    as_each_user(|kit| {
        let server = Echo::start();
        attempt(kit, SCRIPT).env("PORT", server.port()).held_by(&[Wall::NetNamespace]);
    });
}
