//! Types into the terminal that it shares with the person who watches, so that a shell reads it when
//! the jail is over.

use std::fs;

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, terminal::on_a_terminal};

const SCRIPT: &str = r"
import fcntl
fcntl.ioctl(0, 0x5412, b'\n')
escaped('typed')
";

/// Newer kernels have a switch for it.
#[test]
fn nothing_is_typed_for_the_person_who_watches() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        assert!(!on_a_terminal(kit, &attempt, &[]).escaped());
        if fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|it| it == "1\n") {
            assert!(on_a_terminal(kit, &attempt, &[Wall::Filter]).escaped());
        }
    });
}
