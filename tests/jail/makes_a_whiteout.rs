//! Makes the device that means "not there" to an overlay, which the kernel lets everybody make.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.mknod('/tmp/whiteout', 0o020000, os.makedev(0, 0))
escaped('made')
";

#[test]
fn there_are_no_whiteouts() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter, Wall::Landlock]));
}
