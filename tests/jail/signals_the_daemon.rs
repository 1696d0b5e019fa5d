//! Kills a process of the host that belongs to the same user.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
import signal
os.kill(int(os.environ['PID']), signal.SIGWINCH)
escaped('signalled')
";

/// A jail of the host's processes has no `/proc`, which is of the jail's own.
#[test]
fn processes_of_the_host_cannot_be_signalled() {
    as_each_user(|kit| {
        let mut victim = Victim::start(kit);
        attempt(kit, SCRIPT)
            .env("PID", victim.pid())
            .jail(|spec| spec.without.extend([Wall::Proc]))
            .held_by(&[Wall::PidNamespace, Wall::Landlock]);
        assert!(victim.lives());
    });
}
