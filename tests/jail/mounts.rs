//! Mounts a file system, in a mount namespace where it has every capability.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
call(NR['mount'], b'none', b'/tmp', b'tmpfs', 0, 0)
escaped('mounted')
";

#[test]
fn nothing_can_be_mounted() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::Landlock, Wall::NestedNamespaces]);
    });
}
