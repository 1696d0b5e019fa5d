//! Reads the kernel's log by the system call.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
SIZE_BUFFER = 10
escaped(call(NR['syslog'], SIZE_BUFFER, 0, 0))
";

/// A host may restrict it itself; nonsense shows that the filter does, too.
#[test]
fn the_kernels_log_is_shut() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held();
        let nonsense = "reaches_the_kernel(NR['syslog'], 3, 0, -1)";
        let nonsense = attempt(kit, nonsense);
        nonsense.held();
        if kit.uid() != 0 && nonsense.host_can() {
            nonsense.held_by(&[Wall::Filter]);
        }
    });
}
