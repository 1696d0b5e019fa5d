//! Opens more files than it may.

use crate::{appetite::fits, attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
for _ in range(100):
    os.dup(0)
escaped('all open')
";

#[test]
fn open_files_are_limited() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).jail(|spec| spec.limits.open_files = 60).held();
        fits(kit, SCRIPT, |spec| spec.limits.open_files = 120);
    });
}
