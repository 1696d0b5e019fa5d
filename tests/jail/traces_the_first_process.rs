//! Traces the jail's first process.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
SEIZE = 0x4206
call(NR['ptrace'], SEIZE, 1, 0, 0)
escaped('traced')
";

#[test]
fn the_first_process_cannot_be_traced() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::FirstUntraced]);
    });
}
