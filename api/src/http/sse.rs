//! GraphQL over Server-Sent Events: the distinct connections of the graphql-sse protocol.
//!
//! A request to `/graphql` that accepts `text/event-stream` gets its results as `next` events and a
//! `complete` event at the end. The id of an event is the cursor behind it, so that a client that
//! comes back with `Last-Event-ID` goes on where it was. A stream that ends without `complete` was
//! broken off: the key was revoked, the server drains, or the client reads too slowly.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use actix_web::guard::{Guard, GuardContext};
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::rt::time::{Instant, interval_at, sleep, timeout};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, ServerError};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Instrument;

use super::fanout::{Found, Item, Membership};
use super::graphql::{Accepted, accept};
use super::negotiate::Media;
use super::operation::Operation;
use super::request_id::{REQUEST_ID, RequestId, Trace};
use super::response::{self, Body};
use super::run::{Caller, Queue, Run, Said, Told, queue};
use super::wire::Wire;
use super::{Endpoint, share_of};
use crate::telemetry::figures::{self, Outcome};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How many written events wait for the connection.
const WRITTEN: usize = 32;

/// Matches a request that accepts a stream of events.
pub(super) struct WantsEvents;

impl Guard for WantsEvents {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        let accepted = context.head().headers().get_all(ACCEPT);
        let mut ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        ranges.any(|range| {
            let name = range.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("text/event-stream")
        })
    }
}

/// Answers a request with a stream of events, or says why not.
pub(super) async fn serve<E: Executor>(
    http: HttpRequest,
    payload: Payload,
    endpoint: Data<Endpoint<E>>,
) -> HttpResponse {
    let trace = Trace::of(&http);
    let (sender, mut receiver) = mpsc::channel(WRITTEN);
    let began = Instant::now();
    let accepted = accept(&http, payload, &endpoint).await;
    if accepted.is_err() {
        figures::operation_ended("sse", "unknown", Outcome::Refused, began.elapsed());
    }
    let Accepted { pass, operation } = match accepted {
        Ok(accepted) => accepted,
        // A browser's client is told nothing of an answer that is no stream, so a mistake in the
        // document is an event.
        Err(mut refusal) if refusal.is_of_document() => {
            response::sign(&mut refusal.errors, &trace.id);
            let events = [failed(&refusal.errors), COMPLETE.to_owned()].concat();
            return stream_head(&trace).body(events);
        }
        Err(refusal) => return response::refuse(refusal, Media::Json, &trace.id),
    };
    let after = http.headers().get(LAST_EVENT_ID);
    let after = after
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .map(Arc::from);
    let (queue, said) = queue(endpoint.sockets.queue);
    let mut events = Events {
        caller: Caller {
            data: Arc::new(pass.data),
            rights: pass.rights,
        },
        wire: http.conn_data::<Wire>().cloned(),
        trace: trace.clone(),
        queue,
        tickets: 0,
        stop: None,
        member: None,
        sender,
        endpoint,
    };
    events.launch(operation, after);
    rt::spawn(events.run(said, pass.ends));
    stream_head(&trace).streaming(async_stream::stream! {
        while let Some(bytes) = receiver.recv().await {
            yield Ok::<Bytes, Infallible>(bytes);
        }
    })
}

fn stream_head(trace: &Trace) -> actix_web::HttpResponseBuilder {
    let mut builder = HttpResponse::Ok();
    builder
        .insert_header((CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // For proxies that would gather a stream before they pass it on.
        .insert_header(("x-accel-buffering", "no"));
    if let Ok(value) = HeaderValue::from_str(&trace.id.0) {
        builder.insert_header((REQUEST_ID, value));
    }
    builder
}

const COMPLETE: &str = "event: complete\ndata:\n\n";

/// Keeps the line warm; clients pass over it.
const COMMENT: &str = ":\n\n";

/// A result as an event. JSON is written without line breaks.
fn next(item: &Item) -> String {
    match &item.cursor {
        Some(cursor) => ["id: ", cursor, "\nevent: next\ndata: ", &item.json, "\n\n"].concat(),
        None => ["event: next\ndata: ", &item.json, "\n\n"].concat(),
    }
}

/// Errors as an event.
fn failed(errors: &[ServerError]) -> String {
    let json = serde_json::to_string(&Body::of_errors(errors)).unwrap_or_default();
    ["event: next\ndata: ", &json, "\n\n"].concat()
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    Ended,
}

/// One client's stream.
struct Events<E> {
    endpoint: Data<Endpoint<E>>,
    caller: Caller,
    wire: Option<Wire>,
    trace: Trace,
    queue: Queue,
    tickets: u64,
    /// `None` for queries and mutations, which run to their end whoever waits.
    stop: Option<AbortHandle>,
    /// Where its results come from once it has joined a group.
    member: Option<Membership>,
    sender: mpsc::Sender<Bytes>,
}

impl<E> Drop for Events<E> {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.abort();
        }
    }
}

impl<E: Executor> Events<E> {
    fn launch(&mut self, operation: Operation, after: Option<Arc<str>>) {
        self.tickets += 1;
        let subscription = operation.kind == OperationType::Subscription;
        let run = Run {
            transport: "sse",
            executor: self.endpoint.executor.clone(),
            runtime: self.endpoint.runtime.clone(),
            fan_out: self.endpoint.fan_out.clone(),
            caller: self.caller.clone(),
            ticket: self.tickets,
            request_id: RequestId(self.trace.id.0.clone()),
            queue: self.queue.clone(),
            after,
        };
        let task = run.finish(operation).instrument(self.trace.span("sse"));
        let task = self.endpoint.runtime.spawn(task);
        self.stop = subscription.then(|| task.abort_handle());
    }

    /// Writes until there is no more, or nobody to read it.
    async fn run(
        mut self,
        mut said: mpsc::Receiver<Box<Said>>,
        mut pass_ends: Option<BoxFuture<'static, ()>>,
    ) {
        let _open = figures::socket_open();
        let _runs = self.stop.is_some().then(figures::subscription_open);
        let policy = self.endpoint.sockets.clone();
        let mut shutdown = self.endpoint.shutdown.clone();
        let share = share_of(policy.drain_over);
        let drained = async move {
            if shutdown.wait_for(|draining| *draining).await.is_err() {
                // Nobody is left to say that the server drains.
                pending::<()>().await;
            }
            sleep(share).await;
        };
        tokio::pin!(drained);
        let every = policy.ping_every;
        let mut ticks = interval_at(Instant::now() + every, every);
        loop {
            let goes = tokio::select! {
                Some(said) = said.recv() => self.on_said(*said).await,
                () = async {
                    match &self.member {
                        Some(member) => member.stirred().await,
                        None => pending().await,
                    }
                } => self.on_stirred().await,
                _ = ticks.tick() => self.write(COMMENT.to_owned()).await,
                () = async {
                    match &mut pass_ends {
                        Some(ends) => ends.await,
                        None => pending().await,
                    }
                } => Goes::Ended,
                () = &mut drained => Goes::Ended,
                () = self.sender.closed() => Goes::Ended,
            };
            if goes == Goes::Ended {
                return;
            }
        }
    }

    async fn on_said(&mut self, said: Said) -> Goes {
        match said.told {
            Told::Item(item) => {
                let late = item.made.elapsed() > self.endpoint.sockets.behind_at_most;
                match late {
                    true => Goes::Ended,
                    false => self.deliver(&item).await,
                }
            }
            Told::Joined(member) => {
                self.member = Some(member);
                Goes::On
            }
            Told::LeftBehind => Goes::Ended,
            Told::Complete => {
                self.write(COMPLETE.to_owned()).await;
                Goes::Ended
            }
            Told::Failed(errors) => {
                self.write([&failed(&errors), COMPLETE].concat()).await;
                Goes::Ended
            }
        }
    }

    /// Takes what the group has, and goes on alone if it has left this client behind.
    async fn on_stirred(&mut self) -> Goes {
        while let Some(member) = &mut self.member {
            match member.next() {
                Found::Nothing => break,
                Found::Item(item) => {
                    if self.deliver(&item).await == Goes::Ended {
                        return Goes::Ended;
                    }
                }
                Found::Alone => {
                    let left = self.member.take().map(Membership::leave);
                    let Some((recipe, after)) = left else { break };
                    // It was taken before.
                    let Ok(operation) = recipe.prepare(&self.endpoint.limits) else {
                        return Goes::Ended;
                    };
                    self.launch(operation, after);
                }
            }
        }
        Goes::On
    }

    async fn deliver(&mut self, item: &Item) -> Goes {
        let goes = self.write(next(item)).await;
        if goes == Goes::On && self.stop.is_some() {
            figures::delivered(1);
        }
        goes
    }

    /// A write that ends the stream when it takes too long.
    async fn write(&mut self, text: String) -> Goes {
        let write = self.sender.send(Bytes::from(text));
        match timeout(self.endpoint.sockets.write_within, write).await {
            Ok(Ok(())) => Goes::On,
            Ok(Err(_)) => Goes::Ended,
            Err(_) => {
                // Nothing that is written will be read.
                if let Some(wire) = &self.wire {
                    wire.cut();
                }
                Goes::Ended
            }
        }
    }
}
