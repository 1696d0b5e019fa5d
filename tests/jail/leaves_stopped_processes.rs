//! Leaves processes behind that are stopped.

use crate::{
    attempt::attempt,
    kit::as_each_user,
    survivor::{OUTLIVE, survives},
};

const SCRIPT: &str = r"
import signal
for _ in range(20):
    child = os.fork()
    if child == 0:
        os.setsid()
        outlive()
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
os._exit(0)
";

/// What holds is what holds other daemons; those that are stopped could not be ended by the test.
#[test]
fn stopped_processes_end_with_their_jail() {
    as_each_user(|kit| {
        let script = [OUTLIVE, SCRIPT].concat();
        assert!(!survives(&attempt(kit, &script), &[]).escaped());
    });
}
