//! One client's socket: who it is, what it runs, and when it ends.
//!
//! One task holds the socket. Operations are tasks on the app's runtime that put finished messages
//! into a bounded queue; when a client reads slowly the queue fills and they wait, and when it does
//! not read at all a write runs out of time. An operation that has joined a group is no task any
//! more: the [`Outlet`] takes its items from the group, and the socket runs it again if the group
//! has left it behind.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use actix_http::ws::{CloseCode, CloseReason, Message};
use actix_web::rt::time::{Instant, Interval, interval_at, sleep_until, timeout};
use actix_web::web::{self, Bytes};
use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, ServerError};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::Instrument;

use super::frames::{Frames, Heard};
use super::outlet::{Gone, Outlet, Stir};
use super::protocol::{Ask, Dialect, Label, authorization};
use crate::http::fanout::Membership;
use crate::http::gate::{GateError, Pass, credentials};
use crate::http::operation::Operation;
use crate::http::refusal::sentence;
use crate::http::request::Parameters;
use crate::http::request_id::{RequestId, Trace};
use crate::http::run::{Caller, Queue, Run, Said, Told, queue};
use crate::http::wire::Wire;
use crate::http::{Endpoint, execute, graphql, response, share_of};
use crate::telemetry::figures;

/// Why a socket ends.
enum End {
    /// With a close frame.
    Close(u16, &'static str),
    /// The client reads too slowly; the cursor resumes the operation that it was too slow for.
    TooSlow(Option<Arc<str>>),
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
    Open(Caller),
}

/// What a socket wakes up for.
enum Event {
    Heard(Heard),
    Said(Box<Said>),
    Stirred(Stir),
    Judged(Result<Pass, GateError>),
    Late,
    Tick,
    Look,
    Draining,
    Drained,
    PassEnded,
}

/// An operation that the client holds.
struct Held {
    /// Tells it from an earlier operation with the same id, of which messages may still come.
    ticket: u64,
    label: Label,
    /// `None` for queries and mutations, which run to their end whoever waits, and for a member of
    /// a group, which is no task any more.
    stop: Option<AbortHandle>,
    /// Resumes it behind what was written, as long as it is a task.
    cursor: Option<Arc<str>>,
    /// Counts it, if it is a subscription.
    counted: Option<figures::Open>,
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
    outlet: Outlet,
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
    queue: Queue,
    said: mpsc::Receiver<Box<Said>>,
    /// By when the client must be let in.
    deadline: Instant,
    ticks: Interval,
    /// When it is looked whether the connection takes what waits.
    looks: Interval,
    /// Pings since anything was heard.
    silent_ticks: u32,
    shutdown: watch::Receiver<bool>,
    drain_at: Option<Instant>,
}

impl<E: Executor> Socket<E> {
    pub fn new(
        endpoint: web::Data<Endpoint<E>>,
        outlet: Outlet,
        frames: Frames,
        dialect: Option<Dialect>,
        credentials: Option<String>,
        wire: Option<Wire>,
        trace: Trace,
    ) -> Self {
        let policy = &endpoint.sockets;
        let (queue, said) = queue(policy.queue);
        let now = Instant::now();
        Socket {
            outlet,
            frames,
            dialect,
            credentials,
            wire,
            trace,
            stage: Stage::Silent,
            pass_ends: None,
            held: HashMap::new(),
            tickets: 0,
            queue,
            said,
            deadline: now + policy.init_within,
            ticks: interval_at(now + policy.ping_every, policy.ping_every),
            looks: interval_at(now + policy.write_within, policy.write_within),
            silent_ticks: 0,
            shutdown: endpoint.shutdown.clone(),
            drain_at: None,
            endpoint,
        }
    }

    /// Holds the socket until it ends.
    pub async fn run(mut self) {
        let _open = figures::socket_open();
        let end = match self.dialect {
            Some(dialect) => self.talk(dialect).await,
            None => End::Close(4406, "Subprotocol not acceptable"),
        };
        let Socket {
            outlet,
            mut frames,
            wire,
            endpoint,
            held,
            ..
        } = self;
        drop(held);
        let (code, reason) = match end {
            End::Close(code, reason) => (code, reason.to_owned()),
            // At most 123 bytes fit into a close frame; a cursor has 43.
            End::TooSlow(None) => (4290, json!({"code": "SLOW_CONSUMER"}).to_string()),
            End::TooSlow(Some(after)) => {
                let reason = json!({"code": "SLOW_CONSUMER", "after": &*after});
                (4290, reason.to_string())
            }
            End::Gone => {
                figures::socket_closed(1006);
                return;
            }
        };
        figures::socket_closed(code);
        let reason = CloseReason {
            code: CloseCode::from(code),
            description: Some(reason),
        };
        outlet.close(reason);
        let patience = endpoint.sockets.close_within;
        // Read to the end, so that what the client still sends does not make the operating system
        // drop the close frame.
        if timeout(patience, frames.gone()).await.is_err() || code == 4290 {
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
                    // Boxed, since every socket would keep room for the longest way through it.
                    Box::pin(self.on_heard(dialect, heard)).await
                }
                Event::Said(said) => self.on_said(dialect, *said).await,
                Event::Stirred(Stir::Alone(ticket, membership)) => {
                    self.go_on_alone(dialect, ticket, membership).await
                }
                Event::Stirred(Stir::Gone) => Err(End::Gone),
                Event::Judged(judged) => self.on_judged(dialect, judged).await,
                Event::Late => Err(match self.stage {
                    Stage::Silent => End::Close(4408, "Connection initialisation timeout"),
                    _ => End::Close(1013, "Try again later"),
                }),
                Event::Tick => self.on_tick(dialect).await,
                Event::Look => match self.outlet.stuck() {
                    Some(cursor) => Err(End::TooSlow(cursor)),
                    None => Ok(()),
                },
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
            Some(said) = self.said.recv() => Event::Said(said),
            stir = self.outlet.stirred() => Event::Stirred(stir),
            judged = async {
                match &mut self.stage {
                    Stage::Knocking(judgement) => judgement.await,
                    _ => pending().await,
                }
            } => Event::Judged(judged),
            () = sleep_until(self.deadline), if !open => Event::Late,
            _ = self.ticks.tick() => Event::Tick,
            _ = self.looks.tick() => Event::Look,
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
            Heard::Ping(payload) => self.control(Message::Pong(payload)).await,
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
                if !matches!(self.stage, Stage::Open(_)) {
                    return Err(End::Close(4401, "Unauthorized"));
                }
                if self.held.contains_key(&id) {
                    return Err(End::Close(4409, "Subscriber for this id already exists"));
                }
                self.start(dialect, id, payload).await
            }
            Ask::Complete { id } => {
                if let Some(held) = self.held.remove(&id) {
                    self.outlet.leave(held.ticket);
                }
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
            Ok(mut pass) => {
                pass.data.insert(self.trace.origin.clone());
                self.stage = Stage::Open(Caller {
                    data: Arc::new(pass.data),
                    rights: pass.rights,
                });
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
    async fn start(&mut self, dialect: Dialect, id: String, payload: Value) -> Result<(), End> {
        let request_id = self.next_request();
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
        let label = dialect.label(&id);
        self.launch(id, label, operation, request_id, None);
        Ok(())
    }

    /// The request id of the next operation, which has a ticket of its own.
    fn next_request(&mut self) -> RequestId {
        self.tickets += 1;
        RequestId(format!("{}-{}", self.trace.id.0, self.tickets))
    }

    /// Runs an operation, from a cursor if there is one.
    fn launch(
        &mut self,
        id: String,
        label: Label,
        operation: Operation,
        request_id: RequestId,
        after: Option<Arc<str>>,
    ) {
        let Stage::Open(caller) = &self.stage else {
            return;
        };
        let subscription = operation.kind == OperationType::Subscription;
        let run = Run {
            transport: "websocket",
            executor: self.endpoint.executor.clone(),
            runtime: self.endpoint.runtime.clone(),
            fan_out: self.endpoint.fan_out.clone(),
            caller: caller.clone(),
            ticket: self.tickets,
            request_id,
            queue: self.queue.clone(),
            after: after.clone(),
        };
        let task = run
            .finish(operation)
            .instrument(self.trace.span("websocket"));
        let task = self.endpoint.runtime.spawn(task);
        let held = Held {
            ticket: self.tickets,
            label,
            stop: subscription.then(|| task.abort_handle()),
            cursor: after,
            counted: subscription.then(figures::subscription_open),
        };
        self.held.insert(id, held);
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

    async fn on_said(&mut self, dialect: Dialect, said: Said) -> Result<(), End> {
        let holds = |(_, held): &(&String, &mut Held)| held.ticket == said.ticket;
        let Some((id, held)) = self.held.iter_mut().find(holds) else {
            // The client has completed it meanwhile.
            return Ok(());
        };
        let text = match said.told {
            Told::Item(item) => {
                if item.made.elapsed() > self.endpoint.sockets.behind_at_most {
                    return Err(End::TooSlow(held.cursor.take()));
                }
                let parts = held.label.around(&item.json);
                let write = self.outlet.text(&parts);
                in_time(self.endpoint.sockets.write_within, &held.cursor, write).await?;
                if held.counted.is_some() {
                    figures::delivered(1);
                }
                held.cursor = item.cursor;
                return Ok(());
            }
            Told::Joined(member) => {
                // The handle would keep the memory of the task.
                held.stop = None;
                self.outlet.join(held.ticket, held.label.clone(), member);
                return Ok(());
            }
            Told::LeftBehind => return Err(End::TooSlow(held.cursor.take())),
            Told::Complete => dialect.complete(id),
            Told::Failed(errors) => dialect
                .error(id, &errors)
                .map_err(|_| End::Close(1011, "Internal error"))?,
        };
        let id = id.clone();
        self.held.remove(&id);
        self.write(text).await
    }

    /// Runs an operation again that was a group's, from where its client stands.
    async fn go_on_alone(
        &mut self,
        dialect: Dialect,
        ticket: u64,
        membership: Membership,
    ) -> Result<(), End> {
        let mut held = self.held.extract_if(|_, held| held.ticket == ticket);
        let Some((id, held)) = held.next() else {
            return Ok(());
        };
        let (recipe, after) = membership.leave();
        let request_id = self.next_request();
        match recipe.prepare(&self.endpoint.limits) {
            Ok(operation) => {
                self.launch(id, held.label.clone(), operation, request_id, after);
                Ok(())
            }
            // It was taken before.
            Err(error) => self.refuse(dialect, &id, vec![error], &request_id).await,
        }
    }

    async fn on_tick(&mut self, dialect: Dialect) -> Result<(), End> {
        if self.silent_ticks >= 2 {
            return Err(End::Close(1001, "No sign of life"));
        }
        self.silent_ticks += 1;
        // The frame is answered by every client, in a browser too; the message can be seen by
        // those that watch for a server that is gone.
        self.control(Message::Ping(Bytes::new())).await?;
        if matches!(self.stage, Stage::Open(_)) {
            self.write(dialect.keep_alive()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, text: String) -> Result<(), End> {
        let parts = [text.as_str()];
        let write = self.outlet.text(&parts);
        in_time(self.endpoint.sockets.write_within, &None, write).await
    }

    async fn control(&mut self, message: Message) -> Result<(), End> {
        let write = self.outlet.control(message);
        in_time(self.endpoint.sockets.write_within, &None, write).await
    }
}

/// A write that ends the socket when it takes too long. The cursor resumes the operation whose
/// result is written.
async fn in_time(
    patience: Duration,
    cursor: &Option<Arc<str>>,
    write: impl Future<Output = Result<(), Gone>>,
) -> Result<(), End> {
    match timeout(patience, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Gone)) => Err(End::Gone),
        Err(_) => Err(End::TooSlow(cursor.clone())),
    }
}
