//! Clones a part of the mount tree, in which it could be written.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
CLONE = 1
call(NR['open_tree'], -100, b'/tmp', CLONE)
escaped('cloned')
";

#[test]
fn no_mount_can_be_cloned() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
