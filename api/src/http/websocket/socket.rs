//! One client's socket: who it is, what it runs, and when it ends.
//!
//! One task holds the socket and is the only one to write. Operations are tasks on the app's
//! runtime that put finished messages into a bounded queue; when a client reads slowly the queue
//! fills and they wait, and when it does not read at all a write runs out of time.

use std::collections::HashMap;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::{Instant, Interval, interval_at, sleep_until, timeout};
use actix_web::web;
use actix_ws::{CloseCode, CloseReason, Closed, MessageStream, Session};
use async_graphql::parser::types::OperationType;
use async_graphql::{Data, Executor, ServerError};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::Instrument;
use uuid::Uuid;

use super::frames::{Frames, Heard};
use super::protocol::{Ask, Dialect, authorization};
use crate::http::gate::{GateError, Pass, credentials};
use crate::http::operation::Operation;
use crate::http::refusal::{internal_error, sentence};
use crate::http::request::Parameters;
use crate::http::request_id::{RequestId, Trace};
use crate::http::wire::Wire;
use crate::http::{Endpoint, execute, graphql, response};

/// Why a socket ends.
enum End {
    /// With a close frame.
    Close(u16, &'static str),
    /// The client is gone already.
    Gone,
}

/// How far a client has come.
enum Stage {
    /// It has not said `connection_init`.
    Silent,
    /// The gate is asked.
    Knocking(BoxFuture<'static, Result<Pass, GateError>>),
    /// It is let in.
    Open(Arc<Data>),
}

/// What a socket wakes up for.
enum Event {
    Heard(Heard),
    Ready(Finished),
    Judged(Result<Pass, GateError>),
    Late,
    Tick,
    Draining,
    Drained,
    PassEnded,
}

/// A message that an operation wants written.
struct Finished {
    id: String,
    ticket: u64,
    text: String,
    last: bool,
}

/// An operation that the client holds.
struct Held {
    /// Tells it from an earlier operation with the same id, of which messages may still come.
    ticket: u64,
    /// `None` for queries and mutations, which run to their end whoever waits.
    stop: Option<AbortHandle>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.abort();
        }
    }
}

/// A client's socket.
pub(super) struct Socket<E> {
    endpoint: web::Data<Endpoint<E>>,
    session: Session,
    frames: Frames,
    dialect: Option<Dialect>,
    /// From the upgrade's header; those in `connection_init` go first.
    credentials: Option<String>,
    wire: Option<Wire>,
    trace: Trace,
    stage: Stage,
    pass_ends: Option<BoxFuture<'static, ()>>,
    held: HashMap<String, Held>,
    tickets: u64,
    finished: mpsc::Sender<Finished>,
    queue: mpsc::Receiver<Finished>,
    /// By when the client must be let in.
    deadline: Instant,
    ticks: Interval,
    /// Pings since anything was heard.
    silent_ticks: u32,
    shutdown: watch::Receiver<bool>,
    drain_at: Option<Instant>,
}

impl<E: Executor> Socket<E> {
    pub fn new(
        endpoint: web::Data<Endpoint<E>>,
        session: Session,
        messages: MessageStream,
        dialect: Option<Dialect>,
        credentials: Option<String>,
        wire: Option<Wire>,
        trace: Trace,
    ) -> Self {
        let policy = &endpoint.sockets;
        let (finished, queue) = mpsc::channel(policy.queue);
        let now = Instant::now();
        Socket {
            session,
            frames: Frames::new(messages, policy.stranger_bytes),
            dialect,
            credentials,
            wire,
            trace,
            stage: Stage::Silent,
            pass_ends: None,
            held: HashMap::new(),
            tickets: 0,
            finished,
            queue,
            deadline: now + policy.init_within,
            ticks: interval_at(now + policy.ping_every, policy.ping_every),
            silent_ticks: 0,
            shutdown: endpoint.shutdown.clone(),
            drain_at: None,
            endpoint,
        }
    }

    /// Holds the socket until it ends.
    pub async fn run(mut self) {
        let end = match self.dialect {
            Some(dialect) => self.talk(dialect).await,
            None => End::Close(4406, "Subprotocol not acceptable"),
        };
        let Socket {
            session,
            mut frames,
            wire,
            endpoint,
            held,
            ..
        } = self;
        drop(held);
        let End::Close(code, reason) = end else {
            return;
        };
        let reason = CloseReason {
            code: CloseCode::from(code),
            description: Some(reason.to_owned()),
        };
        let farewell = async {
            if session.close(Some(reason)).await.is_ok() {
                // Until the client hangs up, so that what it still sends does not make the
                // operating system drop the close frame.
                while frames.next().await != Heard::Gone {}
            }
        };
        let patience = endpoint.sockets.close_within;
        if timeout(patience, farewell).await.is_err() || code == 4290 {
            // It does not take its leave: nothing that is written will be read.
            if let Some(wire) = wire {
                wire.cut();
            }
        }
    }

    async fn talk(&mut self, dialect: Dialect) -> End {
        loop {
            let event = self.event(dialect).await;
            let outcome = match event {
                Event::Heard(heard) => {
                    self.silent_ticks = 0;
                    self.on_heard(dialect, heard).await
                }
                Event::Ready(finished) => self.on_finished(finished).await,
                Event::Judged(judged) => self.on_judged(dialect, judged).await,
                Event::Late => Err(match self.stage {
                    Stage::Silent => End::Close(4408, "Connection initialisation timeout"),
                    _ => End::Close(1013, "Try again later"),
                }),
                Event::Tick => self.on_tick(dialect).await,
                Event::Draining => {
                    self.drain_at =
                        Some(Instant::now() + share_of(self.endpoint.sockets.drain_over));
                    Ok(())
                }
                Event::Drained => Err(End::Close(1012, "Service restart")),
                Event::PassEnded => Err(End::Close(4403, "Forbidden")),
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// Waits for whatever comes first. Nothing is lost with the futures that are dropped.
    async fn event(&mut self, dialect: Dialect) -> Event {
        let knocking = matches!(self.stage, Stage::Knocking(_));
        let open = matches!(self.stage, Stage::Open(_));
        // Clients of the older dialect do not wait for the ack before they start operations, so
        // theirs wait unread.
        let listening = !(knocking && dialect == Dialect::Older);
        tokio::select! {
            heard = self.frames.next(), if listening => Event::Heard(heard),
            Some(finished) = self.queue.recv() => Event::Ready(finished),
            judged = async {
                match &mut self.stage {
                    Stage::Knocking(judgement) => judgement.await,
                    _ => pending().await,
                }
            } => Event::Judged(judged),
            () = sleep_until(self.deadline), if !open => Event::Late,
            _ = self.ticks.tick() => Event::Tick,
            () = async {
                match &mut self.pass_ends {
                    Some(ends) => ends.await,
                    None => pending().await,
                }
            } => Event::PassEnded,
            event = async {
                match self.drain_at {
                    Some(at) => {
                        sleep_until(at).await;
                        Event::Drained
                    }
                    None => match self.shutdown.wait_for(|draining| *draining).await {
                        Ok(_) => Event::Draining,
                        // Nobody is left to say that the server drains.
                        Err(_) => pending().await,
                    },
                }
            } => event,
        }
    }

    async fn on_heard(&mut self, dialect: Dialect, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Sign => Ok(()),
            Heard::Ping(payload) => {
                let session = &mut self.session;
                in_time(self.endpoint.sockets.write_within, session.pong(&payload)).await
            }
            Heard::Text(text) => match dialect.read(&text) {
                Ok(ask) => self.on_ask(dialect, ask).await,
                Err(reason) => Err(End::Close(4400, reason)),
            },
            Heard::NotText => Err(End::Close(4400, "The message is not text")),
            Heard::TooLong => Err(End::Close(1009, "The message is too long")),
            Heard::Broken => Err(End::Close(1002, "Protocol error")),
            Heard::Close => Err(End::Close(1000, "")),
            Heard::Gone => Err(End::Gone),
        }
    }

    async fn on_ask(&mut self, dialect: Dialect, ask: Ask) -> Result<(), End> {
        match ask {
            Ask::Init(payload) => {
                if !matches!(self.stage, Stage::Silent) {
                    return Err(End::Close(4429, "Too many initialisation requests"));
                }
                self.knock(&payload);
                Ok(())
            }
            Ask::Ping(payload) => self.write(dialect.pong(payload)).await,
            Ask::Pong => Ok(()),
            Ask::Subscribe { id, payload } => {
                let Stage::Open(data) = &self.stage else {
                    return Err(End::Close(4401, "Unauthorized"));
                };
                let data = data.clone();
                if self.held.contains_key(&id) {
                    return Err(End::Close(4409, "Subscriber for this id already exists"));
                }
                self.start(dialect, id, payload, data).await
            }
            Ask::Complete { id } => {
                self.held.remove(&id);
                Ok(())
            }
            Ask::Leave => Err(End::Close(1000, "")),
        }
    }

    /// Asks the gate, with the credentials of the message or else those of the upgrade.
    fn knock(&mut self, payload: &Map<String, Value>) {
        let shown = match authorization(payload) {
            Some(value) => credentials(value),
            None => self.credentials.take(),
        };
        let endpoint = &self.endpoint;
        let (gate, runtime) = (endpoint.gate.clone(), endpoint.runtime.clone());
        let patience = endpoint.patience;
        self.deadline = Instant::now() + patience;
        self.stage = Stage::Knocking(Box::pin(async move {
            execute::admit(&*gate, shown, &runtime, patience).await
        }));
    }

    async fn on_judged(
        &mut self,
        dialect: Dialect,
        judged: Result<Pass, GateError>,
    ) -> Result<(), End> {
        match judged {
            Ok(pass) => {
                self.stage = Stage::Open(Arc::new(pass.data));
                self.pass_ends = pass.ends;
                self.frames.allow(self.endpoint.sockets.message_bytes);
                self.write(dialect.ack()).await
            }
            Err(error) => {
                if let Some(text) = dialect.rejected(sentence(error)) {
                    self.write(text).await?;
                }
                Err(match error {
                    GateError::Missing => End::Close(4401, "Unauthorized"),
                    GateError::Invalid => End::Close(4403, "Forbidden"),
                    GateError::Unavailable => End::Close(1013, "Try again later"),
                })
            }
        }
    }

    /// Starts an operation, or says to the client why not.
    async fn start(
        &mut self,
        dialect: Dialect,
        id: String,
        payload: Value,
        data: Arc<Data>,
    ) -> Result<(), End> {
        self.tickets += 1;
        let request_id = RequestId(format!("{}-{}", self.trace.id.0, self.tickets));
        let allowed = self.endpoint.sockets.operations;
        if self.held.len() >= allowed {
            let errors = vec![graphql::too_many(allowed)];
            return self.refuse(dialect, &id, errors, &request_id).await;
        }
        let operation = match Parameters::from_message(payload, &self.endpoint.limits) {
            Ok(parameters) => graphql::read(parameters, &self.endpoint).await,
            Err(refusal) => Err(refusal),
        };
        let operation = match operation {
            Ok(operation) => operation,
            Err(refusal) => return self.refuse(dialect, &id, refusal.errors, &request_id).await,
        };
        let subscription = operation.kind == OperationType::Subscription;
        let run = Run {
            executor: self.endpoint.executor.clone(),
            data,
            dialect,
            id: id.clone(),
            ticket: self.tickets,
            request_id,
            finished: self.finished.clone(),
        };
        let task = run
            .finish(operation)
            .instrument(self.trace.span("websocket"));
        let task = self.endpoint.runtime.spawn(task);
        let held = Held {
            ticket: self.tickets,
            stop: subscription.then(|| task.abort_handle()),
        };
        self.held.insert(id, held);
        Ok(())
    }

    async fn refuse(
        &mut self,
        dialect: Dialect,
        id: &str,
        mut errors: Vec<ServerError>,
        request_id: &RequestId,
    ) -> Result<(), End> {
        response::sign(&mut errors, request_id);
        match dialect.error(id, &errors) {
            Ok(text) => self.write(text).await,
            Err(_) => Err(End::Close(1011, "Internal error")),
        }
    }

    async fn on_finished(&mut self, finished: Finished) -> Result<(), End> {
        let current = self
            .held
            .get(&finished.id)
            .is_some_and(|held| held.ticket == finished.ticket);
        if !current {
            // The client has completed it meanwhile.
            return Ok(());
        }
        if finished.last {
            self.held.remove(&finished.id);
        }
        self.write(finished.text).await
    }

    async fn on_tick(&mut self, dialect: Dialect) -> Result<(), End> {
        if self.silent_ticks >= 2 {
            return Err(End::Close(1001, "No sign of life"));
        }
        self.silent_ticks += 1;
        // The frame is answered by every client, in a browser too; the message can be seen by
        // those that watch for a server that is gone.
        let session = &mut self.session;
        in_time(self.endpoint.sockets.write_within, session.ping(b"")).await?;
        if matches!(self.stage, Stage::Open(_)) {
            self.write(dialect.keep_alive()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, text: String) -> Result<(), End> {
        let session = &mut self.session;
        in_time(self.endpoint.sockets.write_within, session.text(text)).await
    }
}

/// A write that ends the socket when it takes too long.
async fn in_time(
    patience: Duration,
    write: impl Future<Output = Result<(), Closed>>,
) -> Result<(), End> {
    match timeout(patience, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Closed)) => Err(End::Gone),
        Err(_) => Err(End::Close(4290, "Slow consumer")),
    }
}

/// A random part of a time, so that clients that lose their server together do not come back
/// together.
#[allow(
    clippy::disallowed_methods,
    reason = "it is no identifier, just the random number that is at hand"
)]
fn share_of(whole: Duration) -> Duration {
    let [byte, ..] = Uuid::new_v4().into_bytes();
    whole * u32::from(byte) / 256
}

/// An operation on its way.
struct Run<E> {
    executor: E,
    data: Arc<Data>,
    dialect: Dialect,
    id: String,
    ticket: u64,
    request_id: RequestId,
    finished: mpsc::Sender<Finished>,
}

impl<E: Executor> Run<E> {
    /// Runs the operation to its end. A query or a mutation is executed whether or not the socket
    /// is still there to hear of it.
    async fn finish(self, operation: Operation) {
        let Operation {
            request, places, ..
        } = operation;
        let request = request.data(self.request_id.clone());
        let results = self
            .executor
            .execute_stream(request, Some(self.data.clone()));
        let mut results = AssertUnwindSafe(results).catch_unwind();
        while let Some(result) = results.next().await {
            let mut result = match result {
                Ok(result) => result,
                Err(panic) => {
                    tracing::error!(reason = %execute::panic_text(&*panic), "an operation panicked");
                    return self.fail(vec![internal_error(None)]).await;
                }
            };
            response::finish(&mut result, &places, &self.request_id);
            if response::is_request_error(&result) {
                return self.fail(result.errors).await;
            }
            let Ok(text) = self.dialect.next(&self.id, &result) else {
                return self.fail(vec![internal_error(None)]).await;
            };
            if !self.send(text, false).await {
                return;
            }
        }
        self.send(self.dialect.complete(&self.id), true).await;
    }

    async fn fail(&self, mut errors: Vec<ServerError>) {
        response::sign(&mut errors, &self.request_id);
        if let Ok(text) = self.dialect.error(&self.id, &errors) {
            self.send(text, true).await;
        }
    }

    /// Whether the socket is still there.
    async fn send(&self, text: String, last: bool) -> bool {
        let finished = Finished {
            id: self.id.clone(),
            ticket: self.ticket,
            text,
            last,
        };
        self.finished.send(finished).await.is_ok()
    }
}
