//! Opens the kernel's memory.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn kernel_memory_is_not_there() {
    as_each_user(|kit| {
        let attempt = finds(kit, "/proc/kcore");
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::OldRoot]);
        }
    });
}
