//! Starts another kernel in the place of this one.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// With flags that mean nothing. That it works outside is not tried.
const SCRIPT: &str = "reaches_the_kernel(NR['kexec_load'], 0, 0, 0, 0xffff)";

#[test]
fn no_other_kernel_can_be_started() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        assert!(!attempt.in_jail(&[Wall::Filter, Wall::Capabilities]).escaped());
    });
}
