//! Looking for what a jail leaves behind.

use std::time::Duration;

use kbs_sandbox::Wall;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
};

use crate::attempt::{Attempt, Verdict};

/// Begins the scripts: `outlive` goes on until nobody reads the log, whose end tells the test that all
/// have died.
pub(crate) const OUTLIVE: &str = r"
import select
def nobody_reads(timeout=None):
    poll = select.poll()
    poll.register(1, select.POLLERR)
    return bool(poll.poll(timeout))
def outlive():
    nobody_reads()
    os._exit(0)
";

/// Says whether a process of the jail lives when the end of the jail is told.
pub(crate) fn survives(attempt: &Attempt<'_>, without: &[Wall]) -> Verdict {
    let (job, log) = attempt.start(without);
    let finished = job.wait().unwrap();
    assert!(finished.took < Duration::from_secs(30), "{finished:?}");
    let mut bytes = [0; 4096];
    loop {
        let mut polled = [PollFd::new(&log, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut polled, Some(&at_once)) {
            Ok(0) => return Verdict::Escaped("it lives".to_owned()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => panic!("{errno}"),
        }
        if read(&log, &mut bytes).unwrap() == 0 {
            return Verdict::Held(format!("{:?}", finished.outcome));
        }
    }
}
