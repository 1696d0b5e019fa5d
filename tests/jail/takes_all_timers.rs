//! Makes timers without end.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
timer = ctypes.c_int()
for _ in range(6000):
    call(NR['timer_create'], 0, 0, ctypes.byref(timer))
escaped('6000')
";

#[test]
fn timers_are_limited() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::ResourceLimits]);
        }
    });
}
