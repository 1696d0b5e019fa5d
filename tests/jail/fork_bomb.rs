//! Starts processes that start processes.

use kbs_sandbox::Limit;

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

/// It ends after eleven generations, should nothing else end it.
const SCRIPT: &str = r"
for _ in range(11):
    try:
        os.fork()
    except OSError:
        pass
wait_for_the_end()
";

const SMALL: &str = r"
children = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
";

#[test]
fn a_fork_bomb_ends_by_the_limit_of_processes() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Pids, SCRIPT, |spec| spec.limits.pids = Some(60));
        fits(kit, SMALL, |spec| spec.limits.pids = Some(60));
    });
}
