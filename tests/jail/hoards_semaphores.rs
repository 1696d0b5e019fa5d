//! Makes large sets of semaphores, whose memory belongs to no process.

use kbs_sandbox::Wall;

use crate::{appetite::fits, attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
PRIVATE, CREATE = 0, 0o1600
call(NR['semget'], PRIVATE, 1000, CREATE)
escaped('a set of 1000')
";

const SMALL: &str = "call(NR['semget'], 0, 32, 0o1600)";

#[test]
fn sets_of_semaphores_are_small() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        // The filter alone, and from Linux 6.9 on the limits of the jail's own IPC namespace alone.
        attempt.held();
        assert!(!attempt.in_jail(&[Wall::ResourceLimits]).escaped());
        assert!(attempt.in_jail(&[Wall::Filter, Wall::ResourceLimits]).escaped());
        fits(kit, SMALL, |_| ());
    });
}
