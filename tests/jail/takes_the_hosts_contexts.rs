//! Takes contexts of asynchronous I/O, of which the machine has one number for all.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
context = ctypes.c_ulong(0)
call(NR['io_setup'], 128, ctypes.byref(context))
escaped('a context')
";

#[test]
fn the_hosts_contexts_stay_for_the_host() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
