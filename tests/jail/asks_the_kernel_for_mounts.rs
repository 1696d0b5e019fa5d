//! Asks for mounts by the system calls that tell more than `/proc`.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn the_calls_that_tell_of_mounts_are_not_there() {
    as_each_user(|kit| {
        for call in ["statmount", "listmount"] {
            let script = format!("reaches_the_kernel(NR['{call}'], 0, 0, 0, 0)");
            let attempt = attempt(kit, &script);
            attempt.held();
            if attempt.host_can() {
                attempt.held_by(&[Wall::Filter]);
            }
        }
    });
}
