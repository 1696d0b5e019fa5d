//! Holds more memory than it may, in one process.

use kbs_sandbox::Limit;

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

#[test]
fn a_process_ends_by_the_limit_of_memory() {
    as_each_user(|kit| {
        let script = "x = bytearray(b'x' * (200 << 20)); wait_for_the_end()";
        ends_by(kit, Limit::Memory, script, |spec| spec.limits.memory_b = Some(100 << 20));
        let script = "x = bytearray(b'x' * (20 << 20))";
        fits(kit, script, |spec| spec.limits.memory_b = Some(100 << 20));
    });
}
