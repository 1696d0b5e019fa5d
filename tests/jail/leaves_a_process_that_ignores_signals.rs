//! Leaves a process behind that ignores every signal that can be ignored.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, walls_hold},
    kit::as_each_user,
    survivor::{OUTLIVE, survives},
};

const SCRIPT: &str = r"
import signal
ready, done = os.pipe()
if os.fork() == 0:
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    os.write(done, b'x')
    outlive()
os.read(ready, 1)
os._exit(0)
";

#[test]
fn ignoring_signals_does_not_help() {
    as_each_user(|kit| {
        let script = [OUTLIVE, SCRIPT].concat();
        let attempt = attempt(kit, &script).jail(|spec| spec.without.extend([Wall::Proc]));
        walls_hold(&[Wall::PidNamespace], |without| survives(&attempt, without));
    });
}
