//! Changes what may be done in a mount.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
gain_capabilities(0x20000)
NOEXEC = 8
attributes = struct.pack('4Q', NOEXEC, 0, 0, 0)
call(NR['mount_setattr'], -100, b'/tmp', 0, attributes, len(attributes))
escaped('changed')
";

#[test]
fn no_mount_can_be_changed() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
