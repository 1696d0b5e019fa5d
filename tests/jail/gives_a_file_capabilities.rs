//! Gives a file capabilities, as the root of a user namespace of its own.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
import struct
os.chdir(os.environ['DIR'])
line = '0 ' + os.environ['UID'] + ' 1'
os.close(os.open('f', os.O_CREAT | os.O_WRONLY, 0o755))
gain_capabilities()
try:
    for name, text in ('setgroups', 'deny'), ('uid_map', line), ('gid_map', line):
        open('/proc/self/' + name, 'w').write(text)
except OSError:
    pass
os.setxattr('f', 'security.capability', struct.pack('<6I', 0x03000001, 1 << 13, 0, 0, 0, 0)[:24])
escaped('given')
";

/// Where nothing filters, the namespace has no user, as `/proc` cannot be written to.
#[test]
fn no_file_gets_capabilities() {
    as_each_user(|kit| {
        let inside = attempt(kit, SCRIPT).env("UID", 1000).env("DIR", "/build/out");
        inside.held();
        assert!(!inside.in_jail(&[Wall::Filter, Wall::Landlock]).escaped());
        let outside = attempt(kit, SCRIPT).env("UID", kit.uid());
        assert!(outside.env_path("DIR", &kit.source()).host_can());
    });
}
