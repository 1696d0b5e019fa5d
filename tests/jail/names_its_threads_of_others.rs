//! Changes the name of another process, which is what an operator sees of it.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
r, w = os.pipe()
child = os.fork()
if child == 0:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
open(f'/proc/{child}/comm', 'w').write('kbsd')
escaped('named')
";

#[test]
fn no_process_names_another() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_even_without(&[Wall::ReadOnly, Wall::Landlock, Wall::Filter]);
    });
}
