//! Is always a process that was born just now: each starts another and ends.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, walls_hold},
    kit::as_each_user,
    survivor::{OUTLIVE, survives},
};

const SCRIPT: &str = r"
started, start = os.pipe()
if os.fork() == 0:
    os.setsid()
    # In the test that has no wall, it ends some time.
    for generation in range(20000):
        if nobody_reads(0):
            break
        if os.fork() != 0:
            os._exit(0)
        if generation == 10:
            os.write(start, b'x')
    os._exit(0)
os.read(started, 1)
os._exit(0)
";

#[test]
fn no_process_is_young_enough() {
    as_each_user(|kit| {
        let script = [OUTLIVE, SCRIPT].concat();
        let attempt = attempt(kit, &script).jail(|spec| spec.without.extend([Wall::Proc]));
        walls_hold(&[Wall::PidNamespace], |without| survives(&attempt, without));
    });
}
