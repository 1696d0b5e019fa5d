//! Takes memory that belongs to no process, and so is nobody's when it is counted.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn all_memory_belongs_to_somebody() {
    as_each_user(|kit| {
        for script in [
            "call(NR['memfd_create'], b'', 0); escaped('a file of memory')",
            "call(NR['shmget'], 0, 1 << 20, 0o1600); escaped('a segment')",
        ] {
            attempt(kit, script).held_by(&[Wall::Filter]);
        }
    });
}
