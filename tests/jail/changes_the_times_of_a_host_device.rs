//! Changes the times of a device of the host, which belongs to root.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
found = os.stat('/dev/full')
os.utime('/dev/full', ns=(found.st_atime_ns, found.st_mtime_ns))
escaped('changed')
";

#[test]
fn the_times_of_devices_cannot_be_changed() {
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        if kit.uid() == 0 {
            attempt.held_by(&[Wall::ReadOnly]);
        } else {
            attempt.held();
        }
    });
}
