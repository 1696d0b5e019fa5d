//! Leaves a process behind that has forked twice and left its session.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, walls_hold},
    kit::as_each_user,
    survivor::{OUTLIVE, survives},
};

const SCRIPT: &str = r"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        outlive()
    os._exit(0)
os._exit(0)
";

#[test]
fn daemons_end_with_their_jail() {
    as_each_user(|kit| {
        let script = [OUTLIVE, SCRIPT].concat();
        let attempt = attempt(kit, &script).jail(|spec| spec.without.extend([Wall::Proc]));
        walls_hold(&[Wall::PidNamespace], |without| survives(&attempt, without));
    });
}
