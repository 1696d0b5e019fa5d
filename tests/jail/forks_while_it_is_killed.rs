//! Forks wildly while the jail is being killed.

use std::time::{Duration, Instant};

use kbs_sandbox::{Limit, Outcome};

use crate::{
    attempt::attempt,
    kit::{as_each_user, first_line},
};

/// Thirty processes at any time, each of which is a moment old.
const SCRIPT: &str = r"
for _ in range(30):
    if os.fork() == 0:
        while True:
            if os.fork() != 0:
                os._exit(0)
print('ready', flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        pass
";

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_jail_that_forks_wildly_is_killed_soon() {
    as_each_user(|kit| {
        let (job, log) = kit.start(&attempt(kit, SCRIPT).spec(&[]));
        assert_eq!(first_line(&log), "ready");
        let start = Instant::now();
        job.kill();
        assert_eq!(job.wait().unwrap().outcome, Outcome::Killed);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    });
}

#[test]
fn a_jail_that_forks_wildly_keeps_its_time_limit() {
    as_each_user(|kit| {
        let attempt =
            attempt(kit, SCRIPT).jail(|spec| spec.limits.wall = Some(Duration::from_millis(500)));
        let start = Instant::now();
        let outcome = kit.run(&attempt.spec(&[])).finished.outcome;
        assert_eq!(outcome, Outcome::Exceeded(Limit::Wall));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    });
}
