//! Makes a file system by the calls that need no place for it.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
CREATE = 6
fs = call(NR['fsopen'], b'tmpfs', 0)
call(NR['fsconfig'], fs, CREATE, 0, 0, 0)
mount = call(NR['fsmount'], fs, 0, 0)
escaped('made')
";

#[test]
fn no_file_system_can_be_made() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
