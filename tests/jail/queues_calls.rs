//! Has calls made by a queue that no filter looks at.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
call(NR['io_uring_setup'], 1, ctypes.create_string_buffer(120))
escaped('a queue')
";

#[test]
fn there_are_no_queues_of_calls() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held();
        if attempt.host_can() {
            attempt.held_by(&[Wall::Filter]);
        }
    });
}
