//! The only place where threads and tasks start, so that none loses its span.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use kbs_plan::id::BuildKey;
use tokio::sync::mpsc;
use tracing::Span;

use super::Engine;
use super::flight::Flight;
use super::outcome::Outcome;
use super::watch::{Happening, Watch, Withdrawal};
use crate::problem::{EngineError, Problem};

/// Starts a thread that works for a flight, which outlives the request that began it, and ends the
/// flight whatever happens: nobody may wait for ever.
pub(crate) fn fly(
    engine: &Arc<Engine>,
    key: BuildKey,
    flight: &Arc<Flight>,
    work: impl FnOnce(&Engine, &Arc<Flight>) -> Result<Outcome, Problem> + Send + 'static,
) {
    let span = Span::current();
    let thread = std::thread::Builder::new().name(format!("build {}", &key.hex()[..8]));
    let lost = || Err(EngineError::Lost { what: "the thread of a build" }.into());
    let (on_thread, ours) = (Arc::clone(engine), Arc::clone(flight));
    let started = thread.spawn(move || {
        let work = AssertUnwindSafe(|| span.in_scope(|| work(&on_thread, &ours)));
        let outcome = std::panic::catch_unwind(work).unwrap_or_else(|_| lost());
        on_thread.flights.land(&ours);
        ours.finish(outcome);
    });
    if let Err(error) = started {
        tracing::error!(%error, "cannot start a thread");
        engine.flights.land(flight);
        flight.finish(lost());
    }
}

/// Starts a thread that works for nobody who waits; the daemon does not count as idle meanwhile.
pub(crate) fn beside(
    engine: &Arc<Engine>,
    name: &str,
    work: impl FnOnce(&Arc<Engine>) + Send + 'static,
) {
    let (engine, span) = (Arc::clone(engine), Span::current());
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        let _present = engine.enter();
        span.in_scope(|| work(&engine));
    });
    if let Err(error) = started {
        tracing::warn!(%error, name, "cannot start a thread");
    }
}

/// Runs `beside`, each on a thread of its own, and `work` on this one; returns when all have ended.
///
/// # Errors
/// Why a thread could not be started; `work` was not begun then.
pub(crate) fn together<'a, T>(
    beside: Vec<Box<dyn FnOnce() + Send + 'a>>,
    work: impl FnOnce() -> T + 'a,
) -> std::io::Result<T> {
    // What `work` owns goes with it, so that those beside it come to their end, too.
    std::thread::scope(move |scope| {
        for beside in beside {
            let span = Span::current();
            std::thread::Builder::new().spawn_scoped(scope, move || span.in_scope(beside))?;
        }
        Ok(work())
    })
}

/// Runs an async task.
#[expect(clippy::disallowed_methods, reason = "this is the place it is disallowed for")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    use tracing::Instrument as _;
    tokio::spawn(future.instrument(Span::current()));
}

/// A request that runs on a thread of its own while the client reads what happens.
pub(crate) struct Running<T> {
    /// What happens; ends when the request does.
    pub(crate) happenings: mpsc::Receiver<Happening>,
    /// How it ended.
    pub(crate) result: tokio::task::JoinHandle<T>,
    /// Withdraws the request when the client leaves.
    pub(crate) guard: WithdrawOnDrop,
}

/// Withdraws a request when dropped.
#[derive(Debug)]
pub(crate) struct WithdrawOnDrop {
    request: u64,
    withdrawal: Withdrawal,
    engine: Arc<Engine>,
}

impl Drop for WithdrawOnDrop {
    fn drop(&mut self) {
        self.engine.requests.leave(self.request);
        self.withdrawal.withdraw();
        self.engine.wake();
    }
}

/// Runs sync `work` of a request; dropping the guard withdraws it.
pub(crate) fn request<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Arc<Engine>, &Watch) -> T + Send + 'static,
) -> Running<T> {
    let withdrawal = Withdrawal::default();
    let (watch, happenings) = Watch::new(withdrawal.clone());
    let request = engine.requests.enter(&withdrawal);
    let guard = WithdrawOnDrop { request, withdrawal, engine: Arc::clone(engine) };
    let (engine, span) = (Arc::clone(engine), Span::current());
    let result = tokio::task::spawn_blocking(move || {
        let _present = engine.enter();
        span.in_scope(|| work(&engine, &watch))
    });
    Running { happenings, result, guard }
}
