//! Makes a device of the host's.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
os.chdir(os.environ['DIR'])
os.mknod('device', int(os.environ['TYPE'], 8) | 0o666, os.makedev(7, 99))
escaped('made')
";

/// A user namespace cannot make any, whatever is left out.
#[test]
fn there_are_no_new_devices() {
    as_each_user(|kit| {
        for kind in ["20000", "60000"] {
            let inside = attempt(kit, SCRIPT).env("TYPE", kind).env("DIR", "/tmp");
            inside.held();
            let walls = [Wall::Filter, Wall::Landlock, Wall::SafeMounts, Wall::Capabilities];
            assert!(!inside.in_jail(&walls).escaped());
            let dir = kit.dir.path().join(kind);
            std::fs::create_dir(&dir).unwrap();
            assert!(kit.uid() != 0 || inside.env_path("DIR", &dir).host_can());
        }
    });
}
