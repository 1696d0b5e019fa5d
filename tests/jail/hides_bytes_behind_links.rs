//! Has its bytes counted at a name that is gone, by hard links.

use kbs_sandbox::{Limit, Scratch};

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

const SCRIPT: &str = r"
for number in range(10):
    open('file', 'wb').write(bytes(4 << 20))
    os.link('file', f'/build/src/link-{number}')
    os.unlink('file')
wait_for_the_end()
";

const SMALL: &str = r"
open('file', 'wb').write(bytes(4 << 20))
for number in range(20):
    os.link('file', f'/build/src/link-{number}')
";

#[test]
fn a_file_counts_once_whatever_its_names() {
    as_each_user(|kit| {
        let scratch = kit.make_dir("scratch");
        ends_by(kit, Limit::Scratch, SCRIPT, |spec| {
            spec.limits.scratch_b = 20 << 20;
            spec.scratch = Scratch::Directory(scratch);
        });
        fits(kit, SMALL, |spec| spec.limits.scratch_b = 20 << 20);
    });
}
