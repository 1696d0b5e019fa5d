//! Starts a process in a namespace of its own by the call whose flags lie in memory, where no filter
//! sees them.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
arguments = struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0)
if call(NR['clone3'], arguments, len(arguments)) == 0:
    os._exit(0)
escaped('started')
";

#[test]
fn the_new_call_that_starts_processes_is_not_there() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::NestedNamespaces]));
}
