//! Takes hold of a process of the host by its number.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
call(NR['pidfd_open'], int(os.environ['PID']), 0)
escaped('held on')
";

#[test]
fn processes_of_the_host_have_no_number() {
    as_each_user(|kit| {
        let victim = Victim::start(kit);
        attempt(kit, SCRIPT)
            .env("PID", victim.pid())
            .jail(|spec| spec.without.extend([Wall::Proc]))
            .held_by(&[Wall::PidNamespace]);
    });
}
