//! Uses a descriptor that a daemon forgot to close, in the first step and in the next.

use std::{
    fs::File,
    os::fd::{AsRawFd, IntoRawFd},
};

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit};

const SCRIPT: &str = r"
for fd in range(3, 1024):
    try:
        os.fstat(fd)
    except OSError:
        continue
    escaped(os.readlink(f'/proc/self/fd/{fd}'))
held('nothing above 2')
";

#[test]
fn no_descriptor_of_the_daemon_gets_in() {
    // Not closed by the program it starts; open as long as this test.
    let forgotten = rustix::io::dup(File::open("/etc/passwd").unwrap()).unwrap();
    assert!(forgotten.as_raw_fd() > 2);
    let _open = forgotten.into_raw_fd();
    kit::as_each_user(|kit| {
        let attempt = attempt(kit, SCRIPT);
        attempt.held_by(&[Wall::Descriptors]);
        let mut spec = attempt.spec(&[]);
        spec.steps.insert(0, kit::step(&["true"]));
        let log = kit.run(&spec).succeeded();
        assert_eq!(log, "held: nothing above 2\n");
    });
}
