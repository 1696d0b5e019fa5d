//! Makes a namespace of each kind for itself.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
call(NR['unshare'], int(os.environ['KIND']) | 0x10000000)
escaped('made')
";

/// Time, mount, control group, UTS, IPC, user, process, network.
pub(crate) const KINDS: [u32; 8] =
    [0x80, 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

#[test]
fn no_process_leaves_its_namespaces() {
    as_each_user(|kit| {
        for kind in KINDS {
            let attempt = attempt(kit, SCRIPT).env("KIND", kind);
            assert!(!attempt.in_jail(&[]).escaped());
            assert!(attempt.in_jail(&[Wall::Filter, Wall::NestedNamespaces]).escaped());
        }
        attempt(kit, SCRIPT).env("KIND", 0).held_by(&[Wall::Filter, Wall::NestedNamespaces]);
    });
}
