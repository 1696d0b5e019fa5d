//! Reads the kernel's log from its device.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn the_device_of_the_kernels_log_is_not_there() {
    as_each_user(|kit| finds(kit, "/dev/kmsg").held_by(&[Wall::OldRoot]));
}
