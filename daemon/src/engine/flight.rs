//! One build per key: the first asker starts it, the others join, the last to leave stops it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kbs_plan::id::BuildKey;
use kbs_sandbox::{Job, Sample};
use kbs_store::LogTail;

use crate::engine::outcome::Outcome;
use crate::engine::watch::{Happening, Watch};
use crate::problem::Problem;

/// Every build that is under way.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_key: Mutex<BTreeMap<(BuildKey, Purpose), Arc<Flight>>>,
}

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// To be the output of its key.
    Output,
    /// To be compared with it.
    Comparison,
}

/// One build under way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    happened: Vec<Happening>,
    log: Option<LogTail>,
    log_b: u64,
    job: Option<Arc<Job>>,
    waiters: usize,
    abandoned: bool,
    outcome: Option<Result<Outcome, Problem>>,
}

/// How a request got on board.
pub(crate) enum Boarding {
    /// Nobody builds this yet: the caller has to start it.
    First(Arc<Flight>),
    /// Somebody does.
    Joined(Arc<Flight>),
}

impl Flights {
    /// Joins the flight of `key`, or opens one; the caller is then one of its waiters.
    ///
    /// A flight that its last waiter has left takes nobody on board: a new one begins.
    pub(crate) fn board(&self, key: BuildKey, purpose: Purpose) -> Boarding {
        let mut flights = lock(&self.by_key);
        if let Some(flight) = flights.get(&(key, purpose)) {
            let mut state = lock(&flight.state);
            if !state.abandoned {
                state.waiters += 1;
                drop(state);
                return Boarding::Joined(Arc::clone(flight));
            }
        }
        let flight = Flight::boarded();
        flights.insert((key, purpose), Arc::clone(&flight));
        Boarding::First(flight)
    }

    /// The flight of `key`, without becoming one of its waiters.
    pub(crate) fn get(&self, key: BuildKey) -> Option<Arc<Flight>> {
        lock(&self.by_key).get(&(key, Purpose::Output)).cloned()
    }

    /// The keys of flights that begin with these hex digits.
    pub(crate) fn keys_with(&self, prefix: &str) -> Vec<BuildKey> {
        let flights = lock(&self.by_key);
        let outputs = flights.keys().filter(|(_, purpose)| *purpose == Purpose::Output);
        outputs.map(|(key, _)| *key).filter(|key| key.hex().starts_with(prefix)).collect()
    }

    /// Number of builds under way, waiting ones included.
    pub(crate) fn len(&self) -> usize {
        lock(&self.by_key).len()
    }

    /// Takes a finished flight off the list.
    pub(crate) fn land(&self, flight: &Arc<Flight>) {
        lock(&self.by_key).retain(|_, listed| !Arc::ptr_eq(listed, flight));
    }

    /// Has every waiter look again at whether it was withdrawn.
    pub(crate) fn wake(&self) {
        for flight in lock(&self.by_key).values() {
            drop(lock(&flight.state));
            flight.changed.notify_all();
        }
    }

    /// Stops every build.
    pub(crate) fn abandon_all(&self) {
        for flight in lock(&self.by_key).values() {
            flight.abandon(&mut lock(&flight.state));
        }
    }
}

impl Flight {
    /// A flight with its first waiter on board.
    pub(crate) fn boarded() -> Arc<Self> {
        let flight = Self::default();
        lock(&flight.state).waiters = 1;
        Arc::new(flight)
    }

    /// Tells every waiter, also later ones, what happened.
    pub(crate) fn tell(&self, happening: Happening) {
        lock(&self.state).happened.push(happening);
        self.changed.notify_all();
    }

    /// Every sample of the build so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |happening: &Happening| match happening {
            Happening::Sample(sample) => Some(*sample),
            _ => None,
        };
        lock(&self.state).happened.iter().filter_map(sample).collect()
    }

    /// Tells every waiter something a person should know.
    pub(crate) fn notice(&self, kind: &'static str, text: impl Into<String>) {
        self.notice_of(kind, text, Vec::new());
    }

    /// As [`Flight::notice`], about symbols of the configuration.
    pub(crate) fn notice_of(
        &self,
        kind: &'static str,
        text: impl Into<String>,
        symbols: Vec<String>,
    ) {
        self.tell(Happening::Notice { kind, text: text.into(), symbols });
    }

    /// Runs `work` as a phase that every waiter sees, and returns how long it took, too.
    pub(crate) fn phase<T>(
        &self,
        phase: &'static str,
        detail: impl Into<String>,
        work: impl FnOnce() -> Result<T, Problem>,
    ) -> Result<(T, Duration), Problem> {
        self.tell(Happening::Began { phase, detail: detail.into() });
        let start = std::time::Instant::now();
        let result = work();
        let took = start.elapsed();
        self.tell(Happening::Ended { phase, took });
        result.map(|value| (value, took))
    }

    /// Whether the last waiter has left.
    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.state).abandoned
    }

    /// Gives waiters the log to follow.
    pub(crate) fn set_log(&self, tail: LogTail) {
        lock(&self.state).log = Some(tail);
    }

    /// Tells waiters that the build has printed `size_b` bytes so far.
    pub(crate) fn log_grew(&self, size_b: u64) {
        lock(&self.state).log_b = size_b;
        self.changed.notify_all();
    }

    /// Gives the flight the job to kill when its last waiter leaves.
    pub(crate) fn set_job(&self, job: &Arc<Job>) {
        let mut state = lock(&self.state);
        state.job = Some(Arc::clone(job));
        if state.abandoned {
            job.kill();
        }
    }

    /// Ends the build early: nothing that it makes can be kept.
    pub(crate) fn stop(&self) {
        self.abandon(&mut lock(&self.state));
    }

    /// Ends the flight.
    pub(crate) fn finish(&self, outcome: Result<Outcome, Problem>) {
        let mut state = lock(&self.state);
        state.job = None;
        state.outcome = Some(outcome);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the end, passing on what happens, the log too if there is one to follow; `None`
    /// when the request was withdrawn.
    ///
    /// Leaves the flight either way; the last waiter to leave an unfinished one stops it.
    pub(crate) fn wait(
        &self,
        watch: &Watch,
        log: Option<&mut LogCursor>,
    ) -> Option<Result<Outcome, Problem>> {
        let mut log = log;
        let mut seen = 0;
        let result = loop {
            let state = self.wait_for_news(|state| {
                watch.is_withdrawn()
                    || state.happened.len() > seen
                    || state.outcome.is_some()
                    || log.as_ref().is_some_and(|log| log.is_behind(state))
            });
            if watch.is_withdrawn() {
                break None;
            }
            let news: Vec<_> = state.happened[seen..].to_vec();
            seen = state.happened.len();
            let outcome = state.outcome.clone();
            let following = log.as_deref_mut().map(|log| (log.begin(&state), log));
            drop(state);
            for happening in news {
                watch.tell(happening);
            }
            if let Some((tail, log)) = following {
                log.catch_up(tail.as_ref(), &mut |offset, data| {
                    watch.tell(Happening::Log { offset, data });
                });
            }
            if outcome.is_some() {
                break outcome;
            }
        };
        self.leave();
        result
    }

    /// Passes on the log until the flight ends or nobody reads it any more.
    pub(crate) fn follow_log(
        &self,
        log: &mut LogCursor,
        is_withdrawn: &dyn Fn() -> bool,
        send: &mut dyn FnMut(u64, Vec<u8>),
    ) {
        loop {
            let state = self.wait_for_news(|state| {
                is_withdrawn() || state.outcome.is_some() || log.is_behind(state)
            });
            let (tail, over) = (log.begin(&state), state.outcome.is_some());
            drop(state);
            log.catch_up(tail.as_ref(), send);
            if over || is_withdrawn() {
                return;
            }
        }
    }

    fn wait_for_news(&self, is_news: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        while !is_news(&state) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        state.waiters -= 1;
        if state.waiters == 0 && state.outcome.is_none() {
            self.abandon(&mut state);
        }
    }

    fn abandon(&self, state: &mut State) {
        state.abandoned = true;
        if let Some(job) = &state.job {
            job.kill();
        }
        self.changed.notify_all();
    }
}

/// How far somebody has read a log that is being written.
///
/// What is still to come when the flight ends is in the store.
#[derive(Debug)]
pub(crate) struct LogCursor {
    /// Decoded bytes passed on so far.
    pub(crate) offset: u64,
    /// What the build had printed when we last looked: a log over its limit holds less.
    seen_b: u64,
}

impl LogCursor {
    /// Starts after the first `offset` bytes.
    pub(crate) fn new(offset: u64) -> Self {
        Self { offset, seen_b: 0 }
    }

    fn is_behind(&self, state: &State) -> bool {
        state.log.is_some() && self.seen_b < state.log_b
    }

    fn begin(&mut self, state: &State) -> Option<LogTail> {
        self.seen_b = state.log_b;
        state.log.clone()
    }

    fn catch_up(&mut self, tail: Option<&LogTail>, send: &mut dyn FnMut(u64, Vec<u8>)) {
        use std::io::Read as _;
        let Some(Ok(Some(mut reader))) = tail.map(|tail| tail.read(self.offset)) else { return };
        let mut chunk = vec![0; 64 << 10];
        while let Ok(read @ 1..) = reader.read(&mut chunk) {
            send(self.offset, chunk[..read].to_vec());
            self.offset += read as u64;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
