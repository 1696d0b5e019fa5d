//! Asks a terminal to paste what was selected on it.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, terminal::on_a_terminal};

/// A pseudo-terminal does not know the request, and says so.
const SCRIPT: &str = r"
import fcntl
try:
    fcntl.ioctl(0, 0x541C, b'\x03')
except OSError as error:
    if error.errno == errno.EPERM:
        raise
escaped('the terminal looked at it')
";

#[test]
fn nothing_is_pasted_for_the_person_who_watches() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        assert!(!on_a_terminal(kit, &attempt, &[]).escaped());
        assert!(on_a_terminal(kit, &attempt, &[Wall::Filter]).escaped());
    });
}
