//! Holds more memory than it may, in a mapping that it shares with its children.

use kbs_sandbox::Limit;

use crate::{appetite::ends_by, kit::as_each_user};

const SCRIPT: &str = r"
import mmap
shared = mmap.mmap(-1, 200 << 20)
for at in range(0, 200 << 20, 4096):
    shared[at] = 1
wait_for_the_end()
";

#[test]
fn shared_memory_counts() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Memory, SCRIPT, |spec| spec.limits.memory_b = Some(100 << 20));
    });
}
