//! Running operations so that nobody who waits for one can cancel it.
//!
//! actix drops a handler when its client goes away. Were the operation part of the handler, it
//! would be dropped with it, in the middle of opening a transaction if it comes to the worst, and
//! the connection would go back to the pool inside that transaction: later writes on it are
//! acknowledged and lost. So each operation is a task of its own on the app's runtime.

use std::any::Any;
use std::time::Duration;

use async_graphql::{Executor, Request, Response};
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::gate::{Gate, GateError, Pass};
use super::refusal::Refusal;

/// Runs a query or a mutation to its end, and waits for it as long as `patience` allows.
pub(super) async fn run<E: Executor>(
    executor: E,
    request: Request,
    runtime: &Handle,
    patience: Duration,
    span: Span,
) -> Result<Response, Refusal> {
    let task = async move { executor.execute(request).await };
    // A time-out drops the handle of the task, not the task.
    match timeout(patience, runtime.spawn(task.instrument(span.clone()))).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            span.in_scope(|| tracing::error!(reason = %reason(error), "an operation panicked"));
            Err(Refusal::internal())
        }
        Err(_) => {
            span.in_scope(|| {
                tracing::warn!(?patience, "an operation takes longer than its client")
            });
            Err(Refusal::still_running())
        }
    }
}

/// Asks the gate, in a task of its own for the same reason.
pub(super) async fn admit(
    gate: &dyn Gate,
    credentials: Option<String>,
    runtime: &Handle,
    patience: Duration,
) -> Result<Pass, GateError> {
    match timeout(patience, runtime.spawn(gate.open(credentials))).await {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => {
            tracing::error!(reason = %reason(error), "the gate panicked");
            Err(GateError::Unavailable)
        }
        Err(_) => Err(GateError::Unavailable),
    }
}

/// Why a task ended without a result, for the log.
fn reason(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(error) => error.to_string(),
    }
}

/// What a panic said, for the log.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
