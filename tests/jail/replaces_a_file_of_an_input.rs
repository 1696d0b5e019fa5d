//! Removes a file of an input and puts another in its place.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.rename('/build/in/other', '/build/in/file')
escaped('replaced')
";

#[test]
fn files_of_inputs_cannot_be_replaced() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        let attempt = attempt(kit, SCRIPT).input(&dir, "/build/in").prepared(|| {
            kit.make_file("input/file", "as it was");
            kit.make_file("input/other", "");
        });
        attempt.held_by(&[Wall::ReadOnly, Wall::Landlock]);
    });
}
