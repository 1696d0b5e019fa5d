//! Joins another process's namespaces.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn no_process_joins_a_namespace() {
    as_each_user(|kit| {
        attempt(kit, "reaches_the_kernel(NR['setns'], -1, 0)").held_by(&[Wall::Filter]);
    });
}
