//! Keeps something in the kernel's keyrings, which belong to the user and not to the jail.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn there_are_no_keyrings() {
    const USER: i32 = -4;
    as_each_user(|kit| {
        let add = format!("call(NR['add_key'], b'user', b'kbs', b'x', 1, {USER}); escaped('kept')");
        for script in [
            add.as_str(),
            "call(NR['keyctl'], 0, -3, 1); escaped('a keyring')",
            "reaches_the_kernel(NR['request_key'], b'user', 0, 0, 0)",
        ] {
            attempt(kit, script).held_by(&[Wall::Filter]);
        }
    });
}
