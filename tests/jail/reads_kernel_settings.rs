//! Reads and changes the kernel's settings.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn kernel_settings_are_not_there() {
    as_each_user(|kit| finds(kit, "/proc/sys/kernel").held_by(&[Wall::OldRoot]));
}
