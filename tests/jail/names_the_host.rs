//! Names the host, as the root of a user namespace of its own.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x4000000)
call(NR['sethostname'], b'mine', 4)
escaped(os.uname().nodename)
";

#[test]
fn the_host_cannot_be_named() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
