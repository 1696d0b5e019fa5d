//! Writes more than it may to a scratch on disk, to files that have no name any more.

use kbs_sandbox::{Limit, Scratch};

use crate::{appetite::ends_by, kit::as_each_user};

const SCRIPT: &str = r"
kept = []
for number in range(20):
    kept.append(os.open('/build/out', os.O_TMPFILE | os.O_RDWR, 0o600))
    os.write(kept[-1], bytes(1 << 20))
    kept.append(os.open('file', os.O_CREAT | os.O_RDWR, 0o600))
    os.unlink('file')
    os.write(kept[-1], bytes(1 << 20))
wait_for_the_end()
";

#[test]
fn files_on_disk_without_names_count() {
    as_each_user(|kit| {
        let scratch = kit.make_dir("scratch");
        ends_by(kit, Limit::Scratch, SCRIPT, |spec| {
            spec.limits.scratch_b = 20 << 20;
            spec.scratch = Scratch::Directory(scratch);
        });
    });
}
