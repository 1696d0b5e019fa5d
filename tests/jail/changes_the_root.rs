//! Takes another directory for the root.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities()
call(NR['chroot'], b'/tmp')
escaped('changed')
";

#[test]
fn the_root_cannot_be_changed() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
