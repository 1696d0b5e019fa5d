//! Watches what happens in a file system.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
REPORT_FID = 0x200
call(NR['fanotify_init'], REPORT_FID, 0)
escaped('a watch')
";

#[test]
fn file_systems_cannot_be_watched() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::Filter]);
        }
    });
}
