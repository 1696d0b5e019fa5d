//! Loads a program into the kernel.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn no_program_gets_into_the_kernel() {
    as_each_user(|kit| {
        attempt(kit, "reaches_the_kernel(NR['bpf'], 5, 0, 1 << 20)").held_by(&[Wall::Filter]);
    });
}
