//! Goes on writing to its output when the jail is over.

use kbs_sandbox::Wall;

use crate::{
    attempt::{attempt, walls_hold},
    kit::as_each_user,
    survivor::{OUTLIVE, survives},
};

const SCRIPT: &str = r"
fd = os.open('/build/out/result', os.O_CREAT | os.O_RDWR)
if os.fork() == 0:
    os.setsid()
    while not nobody_reads(0):
        os.pwrite(fd, os.urandom(8), 0)
    os._exit(0)
os._exit(0)
";

#[test]
fn results_do_not_change_any_more() {
    as_each_user(|kit| {
        let script = [OUTLIVE, SCRIPT].concat();
        let attempt = attempt(kit, &script).jail(|spec| spec.without.extend([Wall::Proc]));
        walls_hold(&[Wall::PidNamespace], |without| survives(&attempt, without));
    });
}
