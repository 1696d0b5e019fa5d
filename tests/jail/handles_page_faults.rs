//! Handles page faults by itself, with which it could stop the kernel at will.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
USER_MODE_ONLY = 1
call(NR['userfaultfd'], USER_MODE_ONLY)
escaped('a handler')
";

#[test]
fn page_faults_are_the_kernels() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::Filter]);
        }
    });
}
