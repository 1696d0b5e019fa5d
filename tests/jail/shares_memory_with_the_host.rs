//! Attaches a memory segment of a process of the host.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// Outside, it makes the segment; inside, it looks for it.
const SCRIPT: &str = r"
import struct
call(NR['shmget'], int(os.environ['KEY']), 4096, 0o600)
escaped('found')
";

#[test]
fn segments_of_the_host_are_not_there() {
    as_each_user(|kit| {
        let key = i32::try_from(std::process::id()).unwrap();
        let segment = crate::segment::Segment::new(kit, key);
        attempt(kit, SCRIPT).env("KEY", segment.key()).held_by(&[Wall::IpcNamespace, Wall::Filter]);
    });
}
