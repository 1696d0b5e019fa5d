//! Sets the clock of the machine.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn the_clock_cannot_be_set() {
    as_each_user(|kit| {
        attempt(kit, "reaches_the_kernel(NR['clock_settime'], 0, -1)").held_by(&[Wall::Filter]);
    });
}
