//! Makes sure that a crash starts the host's handler of crashes, which runs as root outside: a handler
//! is started whatever the limit of a core's size is, unless that is exactly one byte.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import resource
for limit in (resource.getrlimit(resource.RLIMIT_CORE), (0, 0)):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
    except (OSError, ValueError):
        pass
now = resource.getrlimit(resource.RLIMIT_CORE)
if now == (1, 1):
    held('one byte')
escaped(now)
";

#[test]
fn a_crash_starts_nothing() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by_all_of(&[Wall::ResourceLimits, Wall::Filter]));
}
