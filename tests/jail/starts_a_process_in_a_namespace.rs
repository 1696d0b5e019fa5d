//! Starts a process in a namespace of its own.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user, makes_a_namespace::KINDS};

const SCRIPT: &str = r"
NEWUSER, SIGCHLD = 0x10000000, 17
flags = int(os.environ['KIND']) | NEWUSER | SIGCHLD
if call(NR['clone'], flags, 0, 0, 0, 0) == 0:
    os._exit(0)
escaped('started')
";

#[test]
fn no_process_starts_in_a_namespace_of_its_own() {
    as_each_user(|kit| {
        // Time namespaces cannot be asked for here: the bit is a part of the signal's number.
        for kind in KINDS.into_iter().filter(|&kind| kind != 0x80) {
            let attempt = attempt(kit, SCRIPT).env("KIND", kind);
            assert!(!attempt.in_jail(&[]).escaped());
            assert!(attempt.in_jail(&[Wall::Filter, Wall::NestedNamespaces]).escaped());
        }
        // The kernel looks at the lower half only.
        attempt(kit, SCRIPT)
            .env("KIND", 1_u64 << 40)
            .held_by(&[Wall::Filter, Wall::NestedNamespaces]);
    });
}
