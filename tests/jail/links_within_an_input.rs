//! Makes a second name for a file of an input beside the first.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.link('/build/in/file', '/build/in/link')
escaped('linked')
";

#[test]
fn files_of_inputs_get_no_second_name() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        kit.make_file("input/file", "");
        attempt(kit, SCRIPT).input(&dir, "/build/in").held_by(&[Wall::ReadOnly, Wall::Landlock]);
    });
}
