//! Takes the watches of files that the kernel lets a user have, on the whole host.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const INSTANCES: &str = r"
for _ in range(40):
    if _c.inotify_init() < 0:
        held(os.strerror(ctypes.get_errno()))
escaped('40')
";

const WATCHES: &str = r"
fd = _c.inotify_init()
for number in range(5000):
    os.mkdir(f'/tmp/{number}')
    if _c.inotify_add_watch(fd, f'/tmp/{number}'.encode(), 2) < 0:
        held(os.strerror(ctypes.get_errno()))
escaped('5000')
";

#[test]
fn the_hosts_watches_stay_for_the_host() {
    as_each_user(|kit| {
        for script in [INSTANCES, WATCHES] {
            attempt(kit, script).held_by(&[Wall::ResourceLimits]);
        }
    });
}
