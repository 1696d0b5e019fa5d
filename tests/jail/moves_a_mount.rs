//! Moves a mount to another place.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
try:
    call(NR['move_mount'], -100, b'/dev/shm', -100, b'/build/home', 0)
except OSError as error:
    if error.errno != errno.EINVAL:
        raise
escaped('moved')
";

#[test]
fn no_mount_can_be_moved() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::Landlock, Wall::NestedNamespaces]);
    });
}
