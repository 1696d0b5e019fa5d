//! Makes the buffer of a socket larger, whose memory belongs to no process.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
one, other = socket.socketpair()
before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, before // 4)
if one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before:
    held('as it was')
escaped('changed')
";

#[test]
fn buffers_of_sockets_stay_as_large_as_they_are() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
