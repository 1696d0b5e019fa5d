//! Reads the table of keys.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn the_table_of_keys_is_not_there() {
    as_each_user(|kit| {
        let attempt = finds(kit, "/proc/keys");
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::OldRoot]);
        }
    });
}
