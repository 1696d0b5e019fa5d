//! A running request as a stream of messages.

use std::pin::Pin;

use kbs_proto::status::to_status;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::engine::tasks::{self, Running};
use crate::engine::watch::Happening;
use crate::problem::{EngineError, Problem};

/// What a streaming method answers with.
pub(crate) type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The status of an error.
pub(crate) fn status(problem: &Problem) -> Status {
    to_status(problem.as_help())
}

/// The stream of a request: what each happening says, then what its result says.
///
/// What `each` and `last` make is made as the client reads: there may be more of it than fits into
/// memory.
pub(crate) fn of<T, M, E, L>(
    running: Running<Result<T, Problem>>,
    mut each: impl FnMut(Happening) -> E + Send + 'static,
    last: impl FnOnce(T) -> L + Send + 'static,
) -> Answer<M>
where
    T: Send + 'static,
    M: Send + 'static,
    E: IntoIterator<Item = M, IntoIter: Send>,
    L: IntoIterator<Item = M, IntoIter: Send>,
{
    let Running { mut happenings, result, guard } = running;
    let (sender, receiver) = mpsc::channel(16);
    tasks::spawn(async move {
        // Held until the client has left or has everything: leaving early withdraws the request.
        let _guard = guard;
        let told = async {
            while let Some(happening) = happenings.recv().await {
                for message in each(happening) {
                    drop(sender.send(Ok(message)).await);
                }
            }
            result.await
        };
        let result = tokio::select! {
            result = told => result,
            () = sender.closed() => return,
        };
        let lost = || to_status(&EngineError::Lost { what: "the thread of a request" });
        let end = match result {
            Ok(Ok(value)) => last(value).into_iter(),
            Ok(Err(problem)) => return drop(sender.send(Err(status(&problem))).await),
            Err(_) => return drop(sender.send(Err(lost())).await),
        };
        for message in end {
            if sender.send(Ok(message)).await.is_err() {
                return;
            }
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

/// Runs short sync work and answers with its result.
pub(crate) async fn answer<T: Send + 'static>(
    engine: &std::sync::Arc<crate::engine::Engine>,
    work: impl FnOnce(&crate::engine::Engine) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Status> {
    let engine = std::sync::Arc::clone(engine);
    let done = tokio::task::spawn_blocking(move || {
        let _present = engine.enter();
        work(&engine)
    });
    match done.await {
        Ok(result) => result.map_err(|problem| status(&problem)),
        Err(_) => Err(to_status(&EngineError::Lost { what: "the thread of a request" })),
    }
}
