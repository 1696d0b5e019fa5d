//! Reads where the kernel's functions lie.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn kernel_symbols_are_not_there() {
    as_each_user(|kit| {
        let attempt = finds(kit, "/proc/kallsyms");
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::OldRoot]);
        }
    });
}
