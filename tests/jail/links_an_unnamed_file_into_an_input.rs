//! Makes a file without a name in an input and gives it one.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
fd = os.open('/build/in', os.O_TMPFILE | os.O_RDWR, 0o644)
call(NR['linkat'], -100, f'/proc/self/fd/{fd}'.encode(), -100, b'/build/in/new', 0x400)
escaped('linked')
";

#[test]
fn unnamed_files_cannot_get_into_inputs() {
    as_each_user(|kit| {
        let dir = kit.make_dir("input");
        attempt(kit, SCRIPT).input(&dir, "/build/in").held_by(&[Wall::ReadOnly, Wall::Landlock]);
    });
}
