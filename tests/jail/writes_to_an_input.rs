//! Changes a file of an input.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.write(os.open('/build/in/file', os.O_WRONLY), b'changed')
escaped('changed')
";

#[test]
fn inputs_cannot_be_changed() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        kit.make_file("input/file", "as it was");
        attempt(kit, SCRIPT).input(&dir, "/build/in").held_by(&[Wall::ReadOnly, Wall::Landlock]);
    });
}
