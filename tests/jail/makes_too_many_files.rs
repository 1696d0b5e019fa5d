//! Makes more files than it may, all empty.

use kbs_sandbox::{JailSpec, Limit, Scratch, remove_scratch};

use crate::{
    appetite::{ends_by, fits},
    kit::{Kit, as_each_user},
};

type Change = dyn Fn(&mut JailSpec);

fn script(files: u32) -> String {
    format!(
        "for number in range({files}):\n    os.close(os.open(f'/tmp/{{number}}', os.O_CREAT))\n"
    )
}

fn both(kit: &Kit, name: &str) -> [Box<Change>; 2] {
    let scratch = kit.make_dir(name);
    [
        Box::new(|spec| spec.limits.scratch_files = 1000),
        Box::new(move |spec| {
            spec.limits.scratch_files = 1000;
            spec.scratch = Scratch::Directory(scratch.clone());
        }),
    ]
}

#[test]
fn empty_files_end_by_the_limit_of_files() {
    as_each_user(|kit| {
        for limited in both(kit, "many") {
            ends_by(kit, Limit::ScratchFiles, &(script(3000) + "wait_for_the_end()"), limited);
        }
        for limited in both(kit, "few") {
            fits(kit, &script(900), limited);
        }
        remove_scratch(&kit.dir.path().join("many")).unwrap();
    });
}
