//! Opens the memory of a process of the host that belongs to the same user.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
pid = os.environ['PID']
for root in ('', '/..'):
    try:
        open(f'{root}/proc/{pid}/mem', 'rb')
        escaped('open')
    except FileNotFoundError:
        pass
held('no such process')
";

#[test]
fn the_memory_of_the_daemon_cannot_be_opened() {
    as_each_user(|kit| {
        let victim = Victim::start(kit);
        attempt(kit, SCRIPT).env("PID", victim.pid()).held_even_without(&[
            Wall::OldRoot,
            Wall::Filter,
            Wall::Landlock,
        ]);
    });
}
