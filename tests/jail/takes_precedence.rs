//! Takes precedence over other processes of the machine: by niceness and as a real-time process.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const NICE: &str = "os.setpriority(os.PRIO_PROCESS, 0, -1); escaped('nicer')";
const REAL_TIME: &str =
    "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); escaped('real time')";

/// It takes a capability of the host's, or a limit that hosts leave at nothing.
#[test]
fn no_jail_takes_precedence() {
    as_each_user(|kit| {
        for script in [NICE, REAL_TIME] {
            let attempt = attempt(kit, script);
            attempt.held();
            let walls = [Wall::Filter, Wall::Capabilities];
            assert!(!attempt.in_jail(&walls).escaped());
            assert!(kit.uid() != 0 || attempt.host_can());
        }
    });
}
