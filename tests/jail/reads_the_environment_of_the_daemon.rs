//! Reads the environment of a process of the host that belongs to the same user.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
pid = os.environ['PID']
for root in ('', '/..'):
    try:
        escaped(open(f'{root}/proc/{pid}/environ').read())
    except FileNotFoundError:
        pass
held('no such process')
";

/// Even where it sees the process, a user namespace has no right over what is outside.
#[test]
fn the_environment_of_the_daemon_cannot_be_read() {
    as_each_user(|kit| {
        let victim = Victim::start(kit);
        attempt(kit, SCRIPT).env("PID", victim.pid()).held_even_without(&[
            Wall::OldRoot,
            Wall::Filter,
            Wall::Landlock,
        ]);
    });
}
