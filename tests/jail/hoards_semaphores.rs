//! Makes large sets of semaphores, whose memory belongs to no process.

use kbs_sandbox::Wall;

use crate::{appetite::fits, attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
PRIVATE, CREATE = 0, 0o1600
call(NR['semget'], PRIVATE, 1000, CREATE)
escaped('a set of 1000')
";

const SMALL: &str = "call(NR['semget'], 0, 32, 0o1600)";

#[test]
fn sets_of_semaphores_are_small() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_by(&[Wall::Filter]);
        fits(kit, SMALL, |_| ());
    });
}
