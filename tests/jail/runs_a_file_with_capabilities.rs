//! Runs a program of the image that has capabilities of its own.

use std::fs;

use kbs_sandbox::Wall;
use rustix::fs::{XattrFlags, setxattr};

use crate::{
    attempt::{attempt, image},
    kit::as_each_user,
};

const SCRIPT: &str = r"
import subprocess
found = subprocess.run(['/etc/cat', '/proc/self/status'], capture_output=True, text=True)
if found.returncode != 0:
    held('it does not run')
line = next(line for line in found.stdout.splitlines() if line.startswith('CapEff'))
if int(line.split()[1], 16) == 0:
    held('none')
escaped(line)
";

/// `CAP_NET_RAW`, permitted and in effect: version 2 of the attribute, as `setcap` writes it.
const CAPABILITIES: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Only root can make the file. Before Landlock, a process must give up gaining anything, so that wall
/// holds, too.
#[test]
fn programs_of_the_image_have_no_capabilities() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    as_each_user(|kit| {
        let cat = image(kit).join("etc/cat");
        fs::copy("/usr/bin/cat", &cat).unwrap();
        setxattr(&cat, "security.capability", &CAPABILITIES, XattrFlags::empty()).unwrap();
        attempt(kit, SCRIPT).only_this_image().entry_by_entry().held_by(&[
            Wall::SafeMounts,
            Wall::Capabilities,
            Wall::Landlock,
        ]);
    });
}
