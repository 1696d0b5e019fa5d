//! Takes a mount away, to see what lies below it.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
gain_capabilities(0x20000)
try:
    call(NR['umount2'], b'/tmp', 2)
except OSError as error:
    # It was looked for; the kernel does not part what it has joined.
    if error.errno != errno.EINVAL:
        raise
escaped('unmounted')
";

#[test]
fn nothing_can_be_unmounted() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
