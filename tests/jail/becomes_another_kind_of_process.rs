//! Becomes a process of another kind: with random addresses, or with data that can be run.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn the_kind_of_process_stays() {
    as_each_user(|kit| {
        for kind in [0, 0x0040_0000 | 8, 0x0440_0000] {
            let script = format!("call(NR['personality'], {kind}); escaped('changed')");
            attempt(kit, &script).held_by(&[Wall::Filter]);
        }
    });
}
