//! Opens pseudo-terminals, of which a machine has a limited number.

use kbs_sandbox::Wall;

use crate::{host_entry::finds, kit::as_each_user};

#[test]
fn there_are_no_terminals_to_take() {
    as_each_user(|kit| {
        for entry in ["/dev/ptmx", "/dev/pts", "/dev/tty"] {
            finds(kit, entry).held_by(&[Wall::OldRoot]);
        }
    });
}
