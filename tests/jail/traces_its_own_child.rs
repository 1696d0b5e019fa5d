//! Traces a process of the same jail.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
r, w = os.pipe()
child = os.fork()
if child == 0:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
SEIZE = 0x4206
call(NR['ptrace'], SEIZE, child, 0, 0)
escaped('traced')
";

#[test]
fn no_process_traces_another() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
