//! Tries every family of sockets that there may ever be.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import socket
made = set()
for family in range(0, 64):
    for kind in range(1, 11):
        try:
            socket.socket(family, kind).close()
            made.add(family)
        except OSError:
            pass
if made <= {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
    held('only the three')
escaped(made)
";

#[test]
fn there_are_unix_and_internet_sockets_only() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
