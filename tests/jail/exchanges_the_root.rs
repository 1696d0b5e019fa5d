//! Puts another mount in the place of the root.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
os.chdir('/build/out')
try:
    call(NR['pivot_root'], b'.', b'.')
except OSError as error:
    if error.errno != errno.EINVAL:
        raise
escaped('exchanged')
";

#[test]
fn the_root_cannot_be_exchanged() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::Landlock, Wall::NestedNamespaces]);
    });
}
