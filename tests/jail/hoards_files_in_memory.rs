//! Writes more than it may to places that are in memory, also to those that no build would look for.

use kbs_sandbox::Limit;

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

fn script(size: u32) -> String {
    let places = "['/tmp', '/dev/shm', '/build/out', '/build/src']";
    format!("for place in {places}:\n    open(place + '/x', 'wb').write(bytes({size} << 20))\n")
}

#[test]
fn files_in_memory_end_by_the_limit_of_scratch() {
    as_each_user(|kit| {
        let small = |spec: &mut kbs_sandbox::JailSpec| spec.limits.scratch_b = 20 << 20;
        ends_by(kit, Limit::Scratch, &script(60), small);
        fits(kit, &script(4), small);
    });
}
