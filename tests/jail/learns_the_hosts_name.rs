//! Asks for the name of the host.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
name = os.uname().nodename
if name == 'kbs':
    held(name)
escaped(name)
";

#[test]
fn the_hosts_name_is_not_told() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::UtsNamespace]));
}
