//! A subscription, or any operation of a socket, on its way to one client.
//!
//! It is a task on the app's runtime that puts what is ready into its client's bounded queue, so
//! that a client that reads slowly is waited for. A stream by position does so until it has come
//! to the end of the log; then its client joins a group, and the task ends or becomes the group's.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_graphql::{Data, Executor, Response, ServerError};
use futures_util::stream::{BoxStream, CatchUnwind};
use futures_util::{StreamExt, poll};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::course::{Course, Place};
use super::execute::panic_text;
use super::fanout::{Entered, FanOut, Group, Item, Kind, Membership};
use super::operation::{self, Operation, Places, Recipe};
use super::refusal::internal_error;
use super::request_id::RequestId;
use super::response::{self, Body};
use crate::telemetry::figures::{self, Outcome};

/// How many bytes a client's queue holds, whatever the number of its messages.
const QUEUE_BYTES: u32 = 1024 * 1024;

/// How long a stream waits for a group to come as far as it has.
const GROUP_WITHIN: Duration = Duration::from_secs(1);

/// What an operation says to its client.
pub(super) enum Told {
    /// A result.
    Item(Item),
    /// It was not executed, or broke. It has ended.
    Failed(Vec<ServerError>),
    /// It has ended.
    Complete,
    /// From here on its results come from a group.
    Joined(Membership),
    /// The client is too far behind to catch up. It has ended.
    LeftBehind,
}

/// Something said, for the client that waits for it.
pub(super) struct Said {
    /// Which of the client's operations says it.
    pub ticket: u64,
    pub told: Told,
    /// Given back when it is written.
    _room: Option<OwnedSemaphorePermit>,
}

/// The operations' end of a client's queue.
#[derive(Clone)]
pub(super) struct Queue {
    /// Boxed, since room for many is kept for each client.
    sender: mpsc::Sender<Box<Said>>,
    room: Arc<Semaphore>,
}

/// A queue of so many messages, and at most a mebibyte.
pub(super) fn queue(messages: usize) -> (Queue, mpsc::Receiver<Box<Said>>) {
    let (sender, receiver) = mpsc::channel(messages);
    let queue = Queue {
        sender,
        room: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
    };
    (queue, receiver)
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Caller {
    /// Put at the disposal of the resolvers.
    pub data: Arc<Data>,
    /// What the caller may see; none if nothing is known of it, and nothing shared.
    pub rights: Option<Arc<str>>,
}

/// An operation on its way.
pub(super) struct Run<E> {
    /// What carries it, for the figures.
    pub transport: &'static str,
    pub executor: E,
    pub runtime: Handle,
    pub fan_out: Arc<FanOut>,
    pub caller: Caller,
    pub ticket: u64,
    pub request_id: RequestId,
    pub queue: Queue,
    /// The cursor to go on from, whatever the operation says.
    pub after: Option<Arc<str>>,
}

/// The results of an operation, a panic among them.
type Results = CatchUnwind<AssertUnwindSafe<BoxStream<'static, Response>>>;

impl<E: Executor> Run<E> {
    /// Runs the operation to its end, or until its client has joined a group. A query or a
    /// mutation is executed whether or not the client is still there to hear of it.
    pub async fn finish(self, operation: Operation) {
        let Operation {
            request,
            places,
            recipe,
            kind: of,
        } = operation;
        let (subscription, began) = (recipe.is_some(), Instant::now());
        let ended = |outcome| {
            figures::operation_ended(
                self.transport,
                operation::name(of),
                outcome,
                began.elapsed(),
            );
        };
        let company = recipe.and_then(|recipe| {
            let kind = Kind {
                text: recipe.text.clone(),
                operation_name: recipe.operation_name.clone(),
                variables: recipe.common.clone(),
                rights: self.caller.rights.clone()?,
            };
            Some((kind, recipe))
        });
        let course = Arc::new(Course::new(
            self.after.clone(),
            company.is_some(),
            company.is_some().then(|| self.fan_out.turns.clone()),
        ));
        let request = request.data(self.request_id.clone()).data(course.clone());
        let data = Some(self.caller.data.clone());
        let results = self.executor.execute_stream(request, data);
        let mut results: Results = AssertUnwindSafe(results).catch_unwind();
        loop {
            let end = async {
                match &company {
                    Some(_) => course.end().await,
                    None => pending().await,
                }
            };
            let result = tokio::select! {
                biased;
                result = results.next() => result,
                end = end => {
                    // What the stream does meanwhile has not been said, and may be forgotten.
                    let Some((kind, recipe)) = &company else { continue };
                    match self.enter(kind, recipe, &course, &end).await {
                        Entered::Member(member) => {
                            self.say(Told::Joined(member), 0).await;
                            return;
                        }
                        Entered::First(member) => {
                            self.lead(member.group(), results, places);
                            self.say(Told::Joined(member), 0).await;
                            return;
                        }
                        Entered::Behind(_) | Entered::Apart => continue,
                    }
                }
            };
            let told = match result {
                Some(result) => {
                    if !subscription && let Ok(result) = &result {
                        ended(Outcome::of(&result.errors));
                    }
                    let executed = write(result, &places, &self.request_id, course.item());
                    if subscription && executed.is_ok() {
                        self.fan_out.count_execution(false);
                    }
                    executed.map_or_else(Told::Failed, Told::Item)
                }
                None if course.was_left_behind() => Told::LeftBehind,
                None => {
                    if subscription {
                        ended(Outcome::Ok);
                    }
                    Told::Complete
                }
            };
            let (last, bytes) = match &told {
                Told::Item(item) => (false, item.json.len()),
                _ => (true, 0),
            };
            let mut said = pin!(self.say(told, bytes));
            let there = match poll!(said.as_mut()) {
                Poll::Ready(there) => there,
                Poll::Pending => {
                    course.give_way();
                    said.await
                }
            };
            if !there || last {
                return;
            }
        }
    }

    /// Joins the group of a kind, which may have to come as far first.
    async fn enter(
        &self,
        kind: &Kind,
        recipe: &Arc<Recipe>,
        course: &Arc<Course>,
        end: &Place,
    ) -> Entered {
        let enter = || self.fan_out.enter(kind, recipe, course, end);
        match enter() {
            Entered::Behind(mut settled) => {
                let come = settled.wait_for(|seq| *seq >= end.seq);
                let _ = timeout(GROUP_WITHIN, come).await;
                enter()
            }
            entered => entered,
        }
    }

    /// Makes the stream that of a group.
    fn lead(&self, group: &Arc<Group>, results: Results, places: Places) {
        let leader = lead(
            self.fan_out.clone(),
            group.clone(),
            results,
            places,
            self.request_id.clone(),
        );
        let task = self.runtime.spawn(leader.in_current_span());
        group.led_by(task.abort_handle());
    }

    /// Whether the client is still there.
    async fn say(&self, told: Told, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).map_or(QUEUE_BYTES, |bytes| bytes.min(QUEUE_BYTES));
        let room = self.queue.room.clone().acquire_many_owned(bytes).await;
        let said = Said {
            ticket: self.ticket,
            told,
            _room: room.ok(),
        };
        self.queue.sender.send(Box::new(said)).await.is_ok()
    }
}

/// Hands a stream's items to a group until the stream ends.
async fn lead(
    fan_out: Arc<FanOut>,
    group: Arc<Group>,
    mut results: Results,
    places: Places,
    request_id: RequestId,
) {
    while let Some(result) = results.next().await {
        // What belongs to no position is the end of the stream: its reason is for each member to
        // find, alone.
        let Some(place) = group.course().item() else {
            break;
        };
        let Ok(item) = write(result, &places, &request_id, Some(place)) else {
            break;
        };
        fan_out.count_execution(true);
        group.publish(item);
    }
    fan_out.end(&group);
}

/// A result as it is sent, or why there is none.
fn write(
    result: std::thread::Result<Response>,
    places: &Places,
    request_id: &RequestId,
    place: Option<Place>,
) -> Result<Item, Vec<ServerError>> {
    let fault = || {
        let mut errors = vec![internal_error(None)];
        response::sign(&mut errors, request_id);
        errors
    };
    let mut result = result.map_err(|panic| {
        tracing::error!(reason = %panic_text(&*panic), "an operation panicked");
        fault()
    })?;
    response::finish(&mut result, places, request_id);
    if response::is_request_error(&result) {
        return Err(result.errors);
    }
    serde_json::to_string(&Body::from(&result))
        .map(|json| Item::new(json, place))
        .map_err(|_| fault())
}
