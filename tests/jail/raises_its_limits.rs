//! Opens more files than it was said to, by raising the limit.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1025, 1025))
except ValueError as error:
    held(error)
escaped(resource.getrlimit(resource.RLIMIT_NOFILE))
";

#[test]
fn limits_cannot_be_raised() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::ResourceLimits]));
}
