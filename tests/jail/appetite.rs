//! Trying how much a jail can use up.

use std::time::{Duration, Instant};

use kbs_sandbox::{JailSpec, Limit, Outcome};

use crate::{attempt::attempt, kit::Kit};

/// Begins the scripts that wait for their end.
pub(crate) const WAIT: &str = r"
import signal
def wait_for_the_end():
    while True:
        signal.pause()
";

/// Runs a script that uses too much, which must end by this limit, soon, and without disturbing
/// another jail of the same helper.
#[track_caller]
pub(crate) fn ends_by(
    kit: &Kit,
    limit: Limit,
    script: &str,
    change: impl FnOnce(&mut JailSpec),
) -> Duration {
    let script = [WAIT, script].concat();
    let spec = attempt(kit, &script).jail(change).spec(&[]);
    let start = Instant::now();
    let (job, log) = kit.start(&spec);
    assert_eq!(kit.out("echo neighbour"), "neighbour\n");
    let outcome = job.wait().unwrap().outcome;
    let took = start.elapsed();
    if outcome != Outcome::Exceeded(limit) {
        let mut bytes = [0; 4096];
        let size = rustix::io::read(&log, &mut bytes).unwrap();
        panic!("{outcome:?}\n{}", String::from_utf8_lossy(&bytes[..size]));
    }
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(kit.out("echo neighbour"), "neighbour\n");
    took
}

/// Runs a script that uses less than it may, which must succeed.
#[track_caller]
pub(crate) fn fits(kit: &Kit, script: &str, change: impl FnOnce(&mut JailSpec)) {
    kit.run(&attempt(kit, script).jail(change).spec(&[])).succeeded();
}
