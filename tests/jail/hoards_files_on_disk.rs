//! Writes more than it may to a scratch on disk: many files of which each is small enough, also in
//! directories that it has shut.

use kbs_sandbox::{Limit, Scratch, remove_scratch};

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

fn script(files: u32) -> String {
    format!(
        r"
os.makedirs('/build/out/shut/inner')
for number in range({files}):
    open(f'/build/out/shut/inner/{{number}}', 'wb').write(bytes(2 << 20))
os.chmod('/build/out/shut/inner', 0)
os.chmod('/build/out/shut', 0)
"
    )
}

#[test]
fn files_on_disk_end_by_the_limit_of_scratch() {
    as_each_user(|kit| {
        let scratch = kit.make_dir("scratch");
        ends_by(kit, Limit::Scratch, &(script(20) + "wait_for_the_end()"), |spec| {
            spec.limits.scratch_b = 20 << 20;
            spec.scratch = Scratch::Directory(scratch.clone());
        });
        remove_scratch(&scratch).unwrap();
        let scratch = kit.make_dir("scratch");
        fits(kit, &script(5), |spec| {
            spec.limits.scratch_b = 20 << 20;
            spec.scratch = Scratch::Directory(scratch.clone());
        });
        remove_scratch(&scratch).unwrap();
    });
}
