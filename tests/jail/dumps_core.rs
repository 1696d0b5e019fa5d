//! Crashes, to leave the memory in a file or to start the host's handler of crashes.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import resource
_, most = resource.getrlimit(resource.RLIMIT_CORE)
try:
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
except (OSError, ValueError):
    pass
os.chdir('/tmp')
child = os.fork()
if child == 0:
    os.abort()
_, status = os.waitpid(child, 0)
if os.WCOREDUMP(status):
    escaped(os.listdir('/tmp'))
held('no core')
";

#[test]
fn a_crash_leaves_nothing() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        // The filter keeps the limit from being raised, where a host would allow that.
        assert!(!attempt.in_jail(&[Wall::Filter]).escaped());
        if attempt.host_can() {
            assert!(attempt.in_jail(&[Wall::Filter, Wall::ResourceLimits]).escaped());
        }
    });
}
