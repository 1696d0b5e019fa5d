//! The only place where threads and tasks start, so that none loses its span.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::Span;

use super::Engine;
use super::watch::{Happening, Watch, Withdrawal};

/// Starts a thread for a build, which outlives the request that began it.
pub(crate) fn build_thread(name: String, work: impl FnOnce() + Send + 'static) {
    let span = Span::current();
    let thread = std::thread::Builder::new().name(name);
    let started = thread.spawn(move || span.in_scope(work));
    if let Err(error) = started {
        tracing::error!(%error, "cannot start a thread");
    }
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
    withdrawal: Withdrawal,
    engine: Arc<Engine>,
}

impl Drop for WithdrawOnDrop {
    fn drop(&mut self) {
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
    let guard = WithdrawOnDrop { withdrawal, engine: Arc::clone(engine) };
    let (engine, span) = (Arc::clone(engine), Span::current());
    let result = tokio::task::spawn_blocking(move || {
        let _present = engine.enter();
        span.in_scope(|| work(&engine, &watch))
    });
    Running { happenings, result, guard }
}
