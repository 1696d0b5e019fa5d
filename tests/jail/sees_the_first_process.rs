//! Looks for the jail's first process in `/proc`.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
escaped(open('/proc/1/cmdline').read())
";

#[test]
fn the_first_process_is_not_seen() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::HiddenFirst]));
}
