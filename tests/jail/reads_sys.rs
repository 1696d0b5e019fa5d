//! Reads what the kernel tells of the machine in `/sys`.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn nothing_of_the_machine_is_in_sys() {
    as_each_user(|kit| finds(kit, "/sys/devices").held_by(&[Wall::OldRoot]));
}
