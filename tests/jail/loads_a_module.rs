//! Loads code into the kernel.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// Of a file that is not open: outside, root gets as far as that.
const SCRIPT: &str = "reaches_the_kernel(NR['finit_module'], -1, b'', 0)";

#[test]
fn no_module_can_be_loaded() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        assert!(!attempt.in_jail(&[Wall::Filter, Wall::Capabilities]).escaped());
    });
}
