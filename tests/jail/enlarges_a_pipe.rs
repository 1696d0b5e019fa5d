//! Makes a pipe larger, whose memory belongs to no process.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import fcntl
reader, writer = os.pipe()
try:
    fcntl.fcntl(writer, 1031, 1 << 17)
except OSError as error:
    held(errno.errorcode[error.errno])
escaped('larger')
";

#[test]
fn pipes_stay_as_large_as_they_are() {
    as_each_user(|kit| attempt(kit, SCRIPT).held_by(&[Wall::Filter]));
}
