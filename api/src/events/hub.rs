//! Feeds this node's subscribers from the log, in its order.
//!
//! One feed per node moves positions forward: it stamps what waits (PostgreSQL), reads the log
//! behind what it has delivered, and sends each event to every subscriber. A subscriber that
//! falls behind its bounded buffer is told so and reads the log itself; nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use entity::{OrderId, event_log};
use sea_orm::{DbBackend, DbErr};
use tokio::sync::{Mutex, Notify, broadcast};

use super::{Event, log, sequencer};
use crate::db::Db;

/// How many events a subscriber may lag behind before it must read the log.
const BUFFER: usize = 4096;

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

    /// The order that it is about.
    pub fn order_id(&self) -> Option<OrderId> {
        self.row.order_id
    }
}

/// The feed and its subscribers.
pub struct Hub {
    db: Db,
    sender: broadcast::Sender<Arc<Logged>>,
    /// The newest position that went out; none until the first turn.
    delivered: Mutex<Option<i64>>,
    wake: Notify,
}

impl Hub {
    /// A feed that starts at the log's present end.
    pub fn new(db: Db) -> Self {
        Hub {
            db,
            sender: broadcast::channel(BUFFER).0,
            delivered: Mutex::new(None),
            wake: Notify::new(),
        }
    }

    /// Says that a transaction with events has committed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Everything from here on. Subscribe first and read the state then: what falls between is
    /// in both, and is told apart by its position.
    ///
    /// The feed knows where it stands from the first subscription on: one that began to count
    /// later would leave out what the subscriber's state does not have yet.
    pub async fn subscribe(&self) -> Result<broadcast::Receiver<Arc<Logged>>, DbErr> {
        let mut delivered = self.delivered.lock().await;
        self.begin(&mut delivered).await?;
        Ok(self.sender.subscribe())
    }

    /// Where the feed stands; the log's present end if it has not begun. Subscribers read the
    /// state themselves, so the past is not for the feed to send.
    async fn begin(&self, delivered: &mut Option<i64>) -> Result<i64, DbErr> {
        if let Some(position) = *delivered {
            return Ok(position);
        }
        let position = log::position(&self.db.read).await?.last_seq;
        *delivered = Some(position);
        Ok(position)
    }

    /// One turn: stamps and delivers until nothing waits. Returns how many events went out.
    pub async fn turn(&self) -> Result<usize, DbErr> {
        let mut delivered = self.delivered.lock().await;
        // Before anything is stamped, or what is stamped now would never go out.
        let mut after = self.begin(&mut delivered).await?;
        if self.db.backend == DbBackend::Postgres {
            // A batch that is not full has left nothing; what was committed since has woken us.
            while sequencer::stamp(&self.db.write).await? == sequencer::BATCH {}
        }
        let mut count = 0;
        loop {
            let rows = log::page(&self.db.read, after).await?;
            let last = (rows.len() as u64) < log::PAGE;
            for row in rows {
                after = row.seq;
                count += 1;
                // Nobody listening is no error.
                let _ = self.sender.send(Arc::new(Logged::new(row)));
            }
            *delivered = Some(after);
            if last {
                return Ok(count);
            }
        }
    }

    /// Turns for ever: at once when woken, and every quarter of a second for what other nodes
    /// have committed.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.turn().await {
                tracing::error!(%error, "the event feed will try again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let _ = tokio::time::timeout(Duration::from_millis(250), self.wake.notified()).await;
        }
    }
}
