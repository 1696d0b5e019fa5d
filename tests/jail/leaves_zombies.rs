//! Leaves thousands of processes behind that are dead and that nobody has waited for.

use std::time::{Duration, Instant};

use kbs_sandbox::Outcome;

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
for _ in range(2000):
    if os.fork() == 0:
        os._exit(0)
os._exit(0)
";

#[test]
fn the_dead_are_buried() {
    as_each_user(|kit| {
        let start = Instant::now();
        let finished = kit.run(&attempt(kit, SCRIPT).spec(&[])).finished;
        assert_eq!(finished.outcome, Outcome::Succeeded);
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(kit.out("echo alive"), "alive\n");
    });
}
