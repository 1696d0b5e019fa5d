//! Holds more memory than it may, a little in each of many processes.

use kbs_sandbox::Limit;

use crate::{appetite::ends_by, kit::as_each_user};

const SCRIPT: &str = r"
for _ in range(8):
    if os.fork() == 0:
        x = bytearray(b'x' * (25 << 20))
        wait_for_the_end()
wait_for_the_end()
";

#[test]
fn all_processes_together_end_by_the_limit_of_memory() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Memory, SCRIPT, |spec| spec.limits.memory_b = Some(100 << 20));
    });
}
