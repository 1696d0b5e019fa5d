//! Traces a process of the host that belongs to the same user.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
SEIZE = 0x4206
call(NR['ptrace'], SEIZE, int(os.environ['PID']), 0, 0)
escaped('traced')
";

#[test]
fn no_process_of_the_host_can_be_traced() {
    as_each_user(|kit| {
        let victim = Victim::start(kit);
        attempt(kit, SCRIPT).env("PID", victim.pid()).held_even_without(&[
            Wall::PidNamespace,
            Wall::Proc,
            Wall::Filter,
            Wall::Landlock,
            Wall::Capabilities,
        ]);
    });
}
