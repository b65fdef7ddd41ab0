//! Feeds this node's subscribers from the log, in its order.
//!
//! One feed per node moves positions forward: it stamps what waits (PostgreSQL), tells the other
//! nodes, and sends each event to every subscriber, whether it was stamped here, heard of, or read
//! from the log. What is heard is delivered if it is the next; anything else is a reason to read
//! the log. A subscriber that falls behind its bounded buffer is told so and reads the log itself;
//! nobody waits for it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entity::{OrderId, event_log};
use sea_orm::{Condition, DbBackend, DbErr};
use tokio::sync::{Mutex, Notify, broadcast};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Span;
use uuid::Uuid;

use super::bus::{Bus, Envelope, Heard};
use super::log::Position;
use super::{Event, log, sequencer};
use crate::db::Db;
use crate::telemetry::{figures, traces};

/// How many events a subscriber may lag behind before it must read the log.
const BUFFER: usize = 4096;

/// How often a node compares where it stands with the log's own row, and tells the others.
const BEAT: Duration = Duration::from_secs(1);

/// How long nothing may be heard, not even a node's own beat, before the log is read instead.
const SILENCE: Duration = Duration::from_secs(2);

/// How soon a node looks again for what waits after it has found something.
const BUSY: Duration = Duration::from_millis(50);

/// How often it looks for what a node has committed and not stamped.
const IDLE: Duration = Duration::from_millis(250);

/// How often the log is read while nothing is heard, give or take a fifth.
const POLL: Duration = Duration::from_millis(200);

/// How long a feed rests after a failure.
const REST: Duration = Duration::from_secs(1);

/// An event at its position, as subscribers get it.
#[derive(Debug)]
pub struct Logged {
    /// Its row in the log.
    pub row: event_log::Model,
    /// What happened; none if a newer version of the program wrote it.
    pub event: Option<Event>,
}

impl Logged {
    /// An event from its row.
    pub fn new(row: event_log::Model) -> Self {
        let event = Event::read(&row.event_type, &row.payload);
        Logged { row, event }
    }

    /// A span for what is made of it for those who follow it.
    pub fn delivery(&self) -> Span {
        let row = &self.row;
        traces::delivery(row.trace_parent.as_deref(), &row.event_type, row.seq)
    }

    /// The order that it is about.
    pub fn order_id(&self) -> Option<OrderId> {
        self.row.order_id
    }
}

/// The feed and its subscribers.
pub struct Hub {
    db: Db,
    bus: Bus,
    feed: Mutex<Feed>,
    wake: Notify,
    /// Whether what other nodes stamp is heard.
    linked: AtomicBool,
}

/// What has gone out, and to whom.
struct Feed {
    /// The log and the newest position of it that went out; none until the feed begins.
    place: Option<Place>,
    sender: broadcast::Sender<Arc<Logged>>,
}

/// A position in one log.
#[derive(Clone, Copy)]
struct Place {
    epoch: Uuid,
    seq: i64,
}

/// Why the feed does something.
enum Cause {
    /// A transaction of this node has committed.
    Committed,
    /// The bus said something.
    Heard(Heard),
    /// It is time to compare.
    Beat,
    /// It is time to look.
    Look,
}

impl Feed {
    /// Sends events to every subscriber.
    fn deliver(&mut self, place: Place, rows: Vec<event_log::Model>) -> usize {
        let count = rows.len();
        for row in rows {
            self.place = Some(Place {
                seq: row.seq,
                ..place
            });
            // Nobody listening is no error.
            let _ = self.sender.send(Arc::new(Logged::new(row)));
        }
        if let Some(place) = self.place {
            figures::log_delivered(place.seq);
        }
        count
    }
}

impl Hub {
    /// A feed that starts at the log's present end.
    pub fn new(db: Db, bus: Bus) -> Self {
        Hub {
            db,
            bus,
            feed: Mutex::new(Feed {
                place: None,
                sender: broadcast::channel(BUFFER).0,
            }),
            wake: Notify::new(),
            linked: AtomicBool::new(false),
        }
    }

    /// Says that a transaction with events has committed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether other nodes are to be heard and are not: everything works, a little later.
    pub fn is_degraded(&self) -> bool {
        self.bus.leaves_the_process() && !self.linked.load(Ordering::Relaxed)
    }

    /// Everything from here on. Subscribe first and read the state then: what falls between is
    /// in both, and is told apart by its position. It ends when the log is another one.
    ///
    /// The feed knows where it stands from the first subscription on: one that began to count
    /// later would leave out what the subscriber's state does not have yet.
    pub async fn subscribe(&self) -> Result<broadcast::Receiver<Arc<Logged>>, DbErr> {
        let mut feed = self.feed.lock().await;
        self.begin(&mut feed).await?;
        Ok(feed.sender.subscribe())
    }

    /// Where the feed stands; the log's present end if it has not begun. Subscribers read the
    /// state themselves, so the past is not for the feed to send.
    async fn begin(&self, feed: &mut Feed) -> Result<Place, DbErr> {
        if let Some(place) = feed.place {
            return Ok(place);
        }
        let now = log::position(&self.db.read).await?;
        let place = Place {
            epoch: now.epoch,
            seq: now.last_seq,
        };
        feed.place = Some(place);
        Ok(place)
    }

    /// One turn: stamps and delivers until nothing waits. Returns how many events went out.
    pub async fn turn(&self) -> Result<usize, DbErr> {
        let mut feed = self.feed.lock().await;
        Ok(self.stamp(&mut feed).await? + self.read(&mut feed).await?)
    }

    /// Gives positions to what waits, and sends it to this node's subscribers and the other nodes.
    async fn stamp(&self, feed: &mut Feed) -> Result<usize, DbErr> {
        // Before anything is stamped, or what is stamped now would never go out.
        self.begin(feed).await?;
        if self.db.backend != DbBackend::Postgres {
            // Transactions write to the log themselves.
            return self.read(feed).await;
        }
        let mut count = 0;
        loop {
            let stamped = sequencer::stamp(&self.db.write).await?;
            let Some(stamped) = stamped else {
                return Ok(count);
            };
            // A batch that is not full has left nothing; what was committed since has woken us.
            let full = stamped.events.len() as u64 == sequencer::BATCH;
            self.bus.say(&stamped);
            count += self.take(feed, stamped).await?;
            if !full {
                return Ok(count);
            }
        }
    }

    /// Delivers what the log has behind what went out.
    async fn read(&self, feed: &mut Feed) -> Result<usize, DbErr> {
        let mut place = self.begin(feed).await?;
        let mut count = 0;
        loop {
            let all = Condition::all();
            let rows = log::page(&self.db.read, all, place.seq, i64::MAX, log::PAGE).await?;
            let last = (rows.len() as u64) < log::PAGE;
            count += feed.deliver(place, rows);
            place = feed.place.unwrap_or(place);
            if last {
                return Ok(count);
            }
        }
    }

    /// Takes a message: what is the next is delivered, what went out is dropped, and anything else
    /// is a reason to look at the log. Returns how many events went out.
    pub async fn hear(&self, message: &[u8]) -> Result<usize, DbErr> {
        let mut feed = self.feed.lock().await;
        match Envelope::read(message) {
            Some(envelope) => self.take(&mut feed, envelope).await,
            None => {
                let now = log::position(&self.db.read).await?;
                self.reach(&mut feed, now).await
            }
        }
    }

    async fn take(&self, feed: &mut Feed, envelope: Envelope) -> Result<usize, DbErr> {
        let place = self.begin(feed).await?;
        if envelope.epoch != place.epoch {
            // A message proves nothing: only the log's own row says which log it is.
            let now = log::position(&self.db.read).await?;
            return self.reach(feed, now).await;
        }
        if envelope.last <= place.seq {
            return Ok(0);
        }
        let mut events = envelope.events;
        if events
            .first()
            .is_some_and(|first| first.seq <= place.seq + 1)
        {
            events.retain(|event| event.seq > place.seq);
            return Ok(feed.deliver(place, events));
        }
        figures::log_gap();
        self.read(feed).await
    }

    /// Comes to where the log stands. In another log the old positions mean nothing: every
    /// subscription ends, and whoever comes back with a cursor is told to begin anew.
    async fn reach(&self, feed: &mut Feed, now: Position) -> Result<usize, DbErr> {
        let place = self.begin(feed).await?;
        if now.epoch == place.epoch && now.last_seq >= place.seq {
            return match now.last_seq == place.seq {
                true => Ok(0),
                false => self.read(feed).await,
            };
        }
        if now.epoch == place.epoch {
            tracing::error!(
                was = place.seq,
                is = now.last_seq,
                "the log went back: after a restore, run `oms restored` before anything is served"
            );
        }
        *feed = Feed {
            place: None,
            sender: broadcast::channel(BUFFER).0,
        };
        self.begin(feed).await?;
        Ok(0)
    }

    /// Comes to where the log's own row says that it stands, and tells the others: a node that
    /// died between its commit and its message is made up for here.
    async fn beat(&self) -> Result<usize, DbErr> {
        let mut feed = self.feed.lock().await;
        let now = log::position(&self.db.read).await?;
        self.bus.say(&Envelope {
            epoch: now.epoch,
            last: now.last_seq,
            events: Vec::new(),
        });
        self.reach(&mut feed, now).await
    }

    /// Feeds for ever.
    pub async fn run(&self) {
        self.run_until(std::future::pending()).await;
    }

    /// Feeds until told to stop: at once when this node commits or hears something; a few times a
    /// second for what another node has left unstamped, and, while nothing is heard, for what it
    /// has stamped. Nothing that has a connection is dropped half-way.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ear = self.bus.leaves_the_process().then(|| self.bus.join());
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = Instant::now();
        // When something was last heard; none while nothing can be.
        let mut heard: Option<Instant> = None;
        loop {
            let cause = tokio::select! {
                () = &mut stop => return,
                () = self.wake.notified() => Cause::Committed,
                said = next(&mut ear) => Cause::Heard(said),
                _ = beat.tick() => Cause::Beat,
                () = tokio::time::sleep_until(look) => Cause::Look,
            };
            let now = Instant::now();
            if let Cause::Heard(said) = &cause {
                heard = (!matches!(said, Heard::Lost)).then_some(now);
            }
            let linked = heard.is_some_and(|at| now < at + SILENCE);
            self.linked.store(linked, Ordering::Relaxed);
            figures::is_now("oms_bus_away", f64::from(u8::from(self.is_degraded())));
            let looked = matches!(cause, Cause::Look);
            let outcome = match cause {
                Cause::Heard(Heard::Message(message)) => self.hear(&message).await,
                // First the subscription, then the log: what went out before is in it.
                Cause::Heard(Heard::Joined | Heard::Lost) => self.turn().await,
                Cause::Beat => self.beat().await,
                Cause::Look if !linked => self.turn().await,
                Cause::Committed | Cause::Look => {
                    let mut feed = self.feed.lock().await;
                    self.stamp(&mut feed).await
                }
            };
            match outcome {
                Ok(count) => {
                    let again = match (count, linked) {
                        (1.., _) => BUSY,
                        (0, true) => IDLE,
                        (0, false) => around(POLL),
                    };
                    let again = Instant::now() + again;
                    look = if looked {
                        again
                    } else {
                        std::cmp::min(look, again)
                    };
                }
                Err(error) => {
                    tracing::error!(%error, "the event feed will try again");
                    tokio::select! {
                        () = &mut stop => return,
                        () = tokio::time::sleep(REST) => {}
                    }
                }
            }
        }
    }
}

/// What the bus says next; nothing where there is none.
async fn next(ear: &mut Option<super::bus::Ear>) -> Heard {
    match ear {
        Some(ear) => ear.next().await,
        None => std::future::pending().await,
    }
}

/// A time give or take a fifth, so that nodes do not ask all at once.
fn around(time: Duration) -> Duration {
    // The standard library's hashers are its only source of chance.
    let chance = RandomState::new().build_hasher().finish() % 401;
    time.mul_f64(0.8 + chance as f64 / 1_000.0)
}
