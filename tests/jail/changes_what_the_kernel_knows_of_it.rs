//! Writes to its own files in `/proc`: who it is, when it is killed, what it dumps, how it is
//! labelled.

use kbs_sandbox::Wall;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
own = ['uid_map', 'gid_map', 'setgroups', 'projid_map', 'oom_score_adj', 'oom_adj', 'coredump_filter',
       'autogroup', 'sched', 'comm', 'clear_refs', 'timens_offsets', 'make-it-fail', 'attr/current',
       'attr/exec', 'attr/fscreate', 'loginuid', 'mem', 'timerslack_ns', 'latency']
opened = []
for name in own:
    try:
        os.open(f'/proc/self/{name}', os.O_WRONLY)
    except OSError:
        continue
    opened.append(name)
if opened:
    escaped(opened)
held('none')
";

/// `/proc` is read-only whatever is left out.
#[test]
fn what_the_kernel_knows_cannot_be_changed() {
    as_each_user(|kit| {
        attempt(kit, SCRIPT).held_even_without(&[Wall::ReadOnly, Wall::Landlock, Wall::Filter]);
    });
}
