//! Opens a performance counter.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

#[test]
fn there_are_no_performance_counters() {
    as_each_user(|kit| {
        let script = "reaches_the_kernel(NR['perf_event_open'], 0, 0, -1, -1, 0xffff)";
        attempt(kit, script).held_by(&[Wall::Filter]);
    });
}
