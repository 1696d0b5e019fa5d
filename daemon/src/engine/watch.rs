//! What the one who asked gets to see while waiting.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kbs_sandbox::{Job, Sample};
use kbs_store::Lease;
use tokio::sync::mpsc;

use super::collecting::Gone;
use crate::problem::{EngineError, Problem};

/// One thing that happened to a request.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A phase began.
    Began {
        /// Which.
        phase: &'static str,
        /// What it works on, for people.
        detail: String,
    },
    /// A phase ended.
    Ended {
        /// Which.
        phase: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// Something a person should know.
    Notice {
        /// What kind, one word.
        kind: &'static str,
        /// The text.
        text: String,
        /// Symbols that it is about, without prefix.
        symbols: Vec<String>,
    },
    /// What the running build holds.
    Sample(Sample),
    /// Bytes of the build log.
    Log {
        /// Where they stand in it.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A collection has done so many of so many things.
    Collecting {
        /// At which step, one word.
        step: &'static str,
        /// How many are done.
        done: u64,
        /// How many there are.
        of: u64,
    },
    /// What a collection takes is gone for everybody.
    Gone(Box<Gone>),
    /// So much of the store was compared with what was promised of it.
    Verifying {
        /// Outputs, layers and images.
        things: u64,
        /// Files that were read.
        files: u64,
        /// Bytes that were read.
        read_b: u64,
    },
    /// A sandbox is open to the client.
    Opened(Box<Opened>),
    /// What runs in an open sandbox has printed this.
    Printed {
        /// On which stream.
        on: Printer,
        /// The bytes.
        data: Vec<u8>,
    },
}

/// A sandbox that is open to a client.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) project: String,
    /// What the build itself runs there.
    pub(crate) commands: Vec<Vec<String>>,
    /// Where it does, inside.
    pub(crate) directory: String,
    /// Where changes stay; `None` where they are thrown away.
    pub(crate) kept: Option<PathBuf>,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printer {
    /// Its output, or its terminal.
    Output,
    /// Its errors.
    Errors,
}

/// Whether anybody still waits for a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withdrawal(Arc<Withdrawn>);

#[derive(Debug, Default)]
struct Withdrawn {
    is_withdrawn: AtomicBool,
    job: Mutex<Option<Arc<Job>>>,
}

impl Withdrawal {
    /// Withdraws the request, and kills the job that runs for it alone.
    pub(crate) fn withdraw(&self) {
        self.0.is_withdrawn.store(true, Ordering::SeqCst);
        if let Some(job) = self.job().take() {
            job.kill();
        }
    }

    /// Whether it was withdrawn.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.is_withdrawn.load(Ordering::SeqCst)
    }

    fn job(&self) -> MutexGuard<'_, Option<Arc<Job>>> {
        self.0.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every request under way, so that all can be withdrawn at once.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Withdrawal>>,
}

impl Requests {
    /// Lists a request until [`Requests::leave`] is called with the number returned.
    pub(crate) fn enter(&self, withdrawal: &Withdrawal) -> u64 {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.open().insert(number, withdrawal.clone());
        number
    }

    /// Takes a request off the list.
    pub(crate) fn leave(&self, number: u64) {
        self.open().remove(&number);
    }

    /// Withdraws every request.
    pub(crate) fn withdraw_all(&self) {
        for withdrawal in self.open().values() {
            withdrawal.withdraw();
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Withdrawal>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line to the one who asked.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    events: mpsc::Sender<Happening>,
    withdrawal: Withdrawal,
    held: Arc<Mutex<Vec<Lease>>>,
}

impl Watch {
    /// A watch and the end where its events come out.
    pub(crate) fn new(withdrawal: Withdrawal) -> (Self, mpsc::Receiver<Happening>) {
        let (events, receiver) = mpsc::channel(256);
        (Self { events, withdrawal, held: Arc::default() }, receiver)
    }

    /// Tells what happened; blocks while a slow client catches up, and never fails: a client that
    /// left is found by [`Watch::check`].
    pub(crate) fn tell(&self, happening: Happening) {
        drop(self.events.blocking_send(happening));
    }

    /// Keeps something from being collected as long as the request lasts.
    pub(crate) fn hold(&self, lease: Lease) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
    }

    /// Tells something a person should know.
    pub(crate) fn notice(&self, kind: &'static str, text: impl Into<String>) {
        self.tell(Happening::Notice { kind, text: text.into(), symbols: Vec::new() });
    }

    /// Has `job` killed when the request is withdrawn; a later job takes its place.
    pub(crate) fn kill_when_withdrawn(&self, job: &Arc<Job>) {
        *self.withdrawal.job() = Some(Arc::clone(job));
        if self.is_withdrawn() {
            job.kill();
        }
    }

    /// Tells how far something has come, unless the client is behind: progress may be missed, and
    /// nobody who holds a lock may wait for a client.
    pub(crate) fn progress(&self, text: impl Into<String>) {
        self.glimpse(Happening::Notice {
            kind: "progress",
            text: text.into(),
            symbols: Vec::new(),
        });
    }

    /// Tells what happened, unless the client is behind.
    pub(crate) fn glimpse(&self, happening: Happening) {
        drop(self.events.try_send(happening));
    }

    /// Whether anybody still waits.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawal.is_withdrawn()
    }

    /// Stops work that nobody waits for.
    ///
    /// # Errors
    /// [`EngineError::Withdrawn`].
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.is_withdrawn() { Err(EngineError::Withdrawn.into()) } else { Ok(()) }
    }

    /// Runs `work` as a phase that the client sees begin and end.
    pub(crate) fn phase<T>(
        &self,
        phase: &'static str,
        detail: impl Into<String>,
        work: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.check()?;
        self.tell(Happening::Began { phase, detail: detail.into() });
        let start = Instant::now();
        let result = work();
        self.tell(Happening::Ended { phase, took: start.elapsed() });
        result
    }
}
