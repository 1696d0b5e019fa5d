//! Starts threads without end.

use kbs_sandbox::Limit;

use crate::{
    appetite::{ends_by, fits},
    kit::as_each_user,
};

const SCRIPT: &str = r"
import threading
for _ in range(500):
    try:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    except RuntimeError:
        break
wait_for_the_end()
";

const SMALL: &str = r"
import threading
threads = [threading.Thread(target=lambda: None) for _ in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
";

#[test]
fn a_bomb_of_threads_ends_by_the_limit_of_processes() {
    as_each_user(|kit| {
        ends_by(kit, Limit::Pids, SCRIPT, |spec| spec.limits.pids = Some(60));
        fits(kit, SMALL, |spec| spec.limits.pids = Some(60));
    });
}
