//! Following a request until it ends.

use std::ops::ControlFlow;
use std::time::Duration;

use kbs_plan::error::Class;
use kbs_proto::pb;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::Streaming;

use crate::error::{CliError, gone, remote};
use crate::exit::Exit;
use crate::render::progress::Progress;
use crate::ui::Ui;

const TICK: Duration = Duration::from_millis(100);

/// How a stream of events ended.
#[derive(Debug)]
pub(crate) enum Last {
    /// The spec was resolved.
    Planned(pb::Planned),
    /// The request ended.
    Ended(Box<pb::Ended>),
}

/// Shows every event until the last one.
///
/// An interrupt drops the stream, which withdraws the request; a second one ends the process.
///
/// # Errors
/// What the daemon answered, that it went away, or the interrupt.
pub(crate) async fn follow(
    mut events: Streaming<pb::Event>,
    progress: &mut Progress,
    ui: &mut Ui,
) -> Result<Last, CliError> {
    use pb::event::Event;
    let mut ticks = ticks();
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let event = tokio::select! {
            biased;
            // First, so that no event is shown before an interrupt is heeded. Where no handler can
            // be had, the interrupt ends the process by itself.
            Ok(()) = &mut interrupt => return Err(interrupted()),
            _ = ticks.tick(), if ui.is_live() => {
                progress.draw(ui);
                continue;
            }
            event = events.message() => event.map_err(remote)?,
        };
        match event.map(|event| event.event) {
            Some(Some(Event::Planned(planned))) => return Ok(Last::Planned(planned)),
            Some(Some(Event::Ended(ended))) => return Ok(Last::Ended(Box::new(ended))),
            Some(Some(Event::Phase(phase))) => progress.phase(&phase, ui)?,
            Some(Some(Event::Notice(notice))) => progress.notice(&notice, ui)?,
            Some(Some(Event::Sample(sample))) => progress.sample(&sample, ui)?,
            Some(Some(Event::Kconfig(_))) => {
                return Err(CliError::new(Class::Bug, "the daemon answered another request"));
            }
            Some(Some(Event::Log(chunk))) => progress.log(&chunk, ui)?,
            // An event of a newer daemon.
            Some(None) => {}
            None => return Err(gone(None)),
        }
    }
}

/// Hands every message of a stream to `show`, to its end or an error of `show`.
///
/// # Errors
/// As [`until`].
pub(crate) async fn each<T>(
    messages: Streaming<T>,
    mut show: impl FnMut(T) -> Result<(), CliError>,
) -> Result<(), CliError> {
    until(messages, |message| show(message).map(ControlFlow::Continue)).await
}

/// As [`each`], until `show` breaks off.
///
/// An interrupt drops the stream, which withdraws the request; a second one ends the process.
///
/// # Errors
/// What the daemon answered, what `show` said, or the interrupt.
pub(crate) async fn until<T>(
    mut messages: Streaming<T>,
    mut show: impl FnMut(T) -> Result<ControlFlow<()>, CliError>,
) -> Result<(), CliError> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let message = tokio::select! {
            biased;
            Ok(()) = &mut interrupt => return Err(interrupted()),
            message = messages.message() => message.map_err(remote)?,
        };
        let Some(message) = message else { return Ok(()) };
        if show(message)?.is_break() {
            return Ok(());
        }
    }
}

/// When to draw how far a request is. The first tick comes late enough that an answer from the store
/// is never announced.
pub(crate) fn ticks() -> Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What ends a command that was interrupted; a second interrupt ends the process.
pub(crate) fn interrupted() -> CliError {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            leave_at_once();
        }
    });
    CliError::new(Class::Cancelled, "interrupted")
}

#[expect(clippy::exit, reason = "a second interrupt does not wait for what the first one began")]
fn leave_at_once() {
    std::process::exit(i32::from(Exit::Cancelled.status()));
}
