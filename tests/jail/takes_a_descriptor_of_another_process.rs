//! Takes an open file out of another process.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
r, w = os.pipe()
child = os.fork()
if child == 0:
    os.close(w)
    os.read(r, 1)
    os._exit(0)
pidfd = call(NR['pidfd_open'], child, 0)
call(NR['pidfd_getfd'], pidfd, 0, 0)
escaped('taken')
";

#[test]
fn no_process_takes_anothers_files() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
