//! Writes more than it may to files that have no name any more.

use kbs_sandbox::Limit;

use crate::{appetite::ends_by, kit::as_each_user};

const SCRIPT: &str = r"
kept = []
for number in range(8):
    kept.append(os.open('/tmp', os.O_TMPFILE | os.O_RDWR, 0o600))
    os.write(kept[-1], bytes(5 << 20))
wait_for_the_end()
";

#[test]
fn files_without_names_count() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Scratch, SCRIPT, |spec| spec.limits.scratch_b = 20 << 20);
    });
}
