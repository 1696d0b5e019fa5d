//! Changes the mode of a device of the host, which belongs to root.

use std::{fs, os::unix::fs::PermissionsExt};

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

/// To what it is: the test must not change the host either.
const SCRIPT: &str = r"
import stat
mode = stat.S_IMODE(os.stat('/dev/full').st_mode)
os.chmod('/dev/full', mode)
escaped('changed')
";

#[test]
fn the_modes_of_devices_cannot_be_changed() {
    let mode = || fs::metadata("/dev/full").unwrap().permissions().mode();
    let before = mode();
    as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        if kit.uid() == 0 {
            attempt.held_by(&[Wall::ReadOnly]);
        } else {
            attempt.held();
        }
    });
    assert_eq!(mode(), before);
}
