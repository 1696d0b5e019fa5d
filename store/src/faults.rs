//! What the tests do to the process at one of its changes: stop it there, or refuse the change.
//!
//! A process has at most one fault, given by its environment when it starts; every change that
//! [`disk`](crate::disk) and the database make counts as one step.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// `kill:N`, `ENOSPC:N`, `EIO:N` or `count`.
pub(crate) const FAULT: &str = "KBS_TEST_FAULT";

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// Says what each step is for.
    Count,
    /// Instead of step N the process is killed.
    Kill(u64),
    /// Step N fails with this error number.
    Fail(u64, i32),
}

fn fault() -> Fault {
    static FAULT_OF_THIS_PROCESS: OnceLock<Fault> = OnceLock::new();
    *FAULT_OF_THIS_PROCESS.get_or_init(|| {
        let Some(text) = std::env::var_os(FAULT) else { return Fault::None };
        let text = text.into_string().expect("the tests write text");
        let (what, step) = text.split_once(':').unwrap_or((&text, "0"));
        let step = step.parse().expect("the tests write numbers");
        match what {
            "count" => Fault::Count,
            "kill" => Fault::Kill(step),
            "ENOSPC" => Fault::Fail(step, 28),
            "EIO" => Fault::Fail(step, 5),
            other => panic!("no fault is called {other}"),
        }
    })
}

/// Counts one change; called before it is made.
#[expect(clippy::print_stdout, reason = "how the test is told")]
pub(crate) fn step(what: &'static str) -> io::Result<()> {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    let fault = fault();
    if matches!(fault, Fault::None) {
        return Ok(());
    }
    let number = STEPS.fetch_add(1, Ordering::SeqCst);
    match fault {
        Fault::Count => println!("\nstep {what}"),
        Fault::Kill(at) if at == number => {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        }
        Fault::Fail(at, errno) if at == number => {
            println!("\nrefused {what}");
            return Err(io::Error::from_raw_os_error(errno));
        }
        Fault::None | Fault::Kill(_) | Fault::Fail(..) => {}
    }
    Ok(())
}
