//! Kills every process that there is.

use crate::{attempt::attempt, kit::as_each_user, victim::Victim};

const SCRIPT: &str = r"
import signal
try:
    os.kill(-1, signal.SIGKILL)
finally:
    held('it is alone')
";

/// Without its namespace it would kill the machine; so nothing is left out.
#[test]
fn killing_everything_kills_the_jail_only() {
    as_each_user(|kit| {
        let mut victim = Victim::start(kit);
        attempt(kit, SCRIPT).held();
        assert!(victim.lives());
        assert_eq!(kit.out("echo alive"), "alive\n");
    });
}
