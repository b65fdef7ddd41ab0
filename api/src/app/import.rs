//! Takes the orders of a file through the same pipeline as the API's, and keeps a record of the
//! run.

mod northwind;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use entity::import::Status;
use entity::order::Source;
use entity::{ImportId, import};
use futures_util::StreamExt;
use futures_util::stream;
use sea_orm::{DbBackend, EntityTrait};

use super::{App, Submitted};
use crate::access::Principal;
use crate::capture::import::record::{self, Begin, OrderFault};
use crate::capture::import::{Entry, Fault, FileError, Tally};
use crate::capture::{Submission, address};
use crate::failure::{Code, Failure, Problem};

/// How many orders are taken before the record is written again, if no second has passed.
const ORDERS_A_RECORD: u64 = 100;

/// How often an order is tried again while the database is busy or away, with a wait in between
/// that doubles from the first.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A file of orders.
#[derive(Clone, Debug)]
pub struct OrderFile {
    /// Its name.
    pub source: String,
    /// `csv`, `jsonl` or the name of a mapping.
    pub format: String,
    /// The code of the channel that its orders belong to.
    pub channel: String,
    /// How many orders are under way at once. With more than one, which of two neighbours gets
    /// the last unit is decided by chance. SQLite has one writer, so it is always one there.
    pub parallel: usize,
}

/// A run that came to the end of its file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its record.
    pub id: ImportId,
    /// What became of the orders.
    pub tally: Tally,
}

/// What became of one order.
enum Outcome {
    Taken(Submitted),
    Refused(Vec<OrderFault>),
    Stopped(Failure),
}

impl App {
    /// Takes orders in their order. `heard` is told after each order what became of the run so
    /// far, and what was wrong with the order.
    ///
    /// Orders are known by their reference: a repetition, and a run after one that was killed,
    /// changes nothing for those that are there. A refused order stops nobody else; a database or
    /// a file that fails stops the run, which is then recorded as failed.
    pub async fn import_orders(
        &self,
        principal: &Principal,
        file: &OrderFile,
        orders: impl Iterator<Item = Result<Entry, FileError>>,
        mut heard: impl FnMut(&Tally, &[OrderFault]),
    ) -> Result<Imported, Failure> {
        let actor = &principal.actor;
        let reference = self.reference().await?;
        let channel_id = reference
            .channel_by_code(&file.channel)
            .filter(|channel| principal.sees(channel.row.id))
            .map(|channel| channel.row.id)
            .ok_or_else(|| Problem::new(Code::ChannelNotFound, "no such channel").at("channel"))?;
        let begin = &Begin {
            source: file.source.clone(),
            format: file.format.clone(),
            channel_id,
        };
        let id = self
            .write(
                actor,
                move |tx| async move { record::begin(&tx, begin).await },
            )
            .await?;
        let mut run = Run {
            app: self,
            principal,
            id,
            tally: Tally::default(),
            unwritten: Vec::new(),
            written: self.clock.now(),
        };
        // After a failure no further order begins, and those under way come to their end: a
        // dropped transaction would take its connection with it.
        let stopped = &AtomicBool::new(false);
        let orders = orders.take_while(|_| !stopped.load(Ordering::Relaxed));
        let parallel = match self.db.backend {
            DbBackend::Postgres => file.parallel.max(1),
            _ => 1,
        };
        let mut outcomes = std::pin::pin!(
            stream::iter(orders)
                .map(|entry| self.import_order(principal, &file.channel, entry))
                .buffered(parallel)
        );
        let mut failure = None;
        while let Some(outcome) = outcomes.next().await {
            let faults = match outcome {
                Outcome::Stopped(cause) => {
                    stopped.store(true, Ordering::Relaxed);
                    failure.get_or_insert(cause);
                    continue;
                }
                Outcome::Taken(submitted) => {
                    run.tally.take(submitted.replayed);
                    Vec::new()
                }
                Outcome::Refused(faults) => {
                    run.tally.refuse(faults.iter().map(|(_, fault)| fault));
                    faults
                }
            };
            heard(&run.tally, &faults);
            run.unwritten.extend(faults);
            if let Err(cause) = run.write_if_due().await {
                stopped.store(true, Ordering::Relaxed);
                failure.get_or_insert(cause);
            }
        }
        let end = if failure.is_some() {
            Status::Failed
        } else {
            Status::Completed
        };
        let closed = run.write(Some(end)).await;
        if let Some(failure) = failure {
            return Err(failure);
        }
        closed?;
        Ok(Imported {
            id,
            tally: run.tally,
        })
    }

    /// Records what a set-up refused of a file that holds no orders.
    pub async fn record_import(
        &self,
        principal: &Principal,
        begin: &Begin,
        tally: &Tally,
        faults: &[OrderFault],
    ) -> Result<ImportId, Failure> {
        self.write(&principal.actor, move |tx| async move {
            let id = record::begin(&tx, begin).await?;
            record::advance(&tx, id, tally, faults, Some(Status::Completed)).await?;
            Ok(id)
        })
        .await
    }

    /// Stores places of the reference table of postal codes; says how many were new. Call
    /// [`App::invalidate_reference`] after the last.
    pub async fn store_places(
        &self,
        principal: &Principal,
        places: &[address::Place],
    ) -> Result<u64, Failure> {
        self.write(&principal.actor, move |tx| async move {
            Ok(address::store::store(&tx, places.iter().cloned()).await?)
        })
        .await
    }

    /// The record of a run.
    pub async fn find_import(&self, id: ImportId) -> Result<Option<import::Model>, Failure> {
        Ok(import::Entity::find_by_id(id).one(&self.db.read).await?)
    }

    async fn import_order(
        &self,
        principal: &Principal,
        channel: &str,
        entry: Result<Entry, FileError>,
    ) -> Outcome {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                return Outcome::Stopped(Failure::Internal(format!("the file: {error}")));
            }
        };
        let refused = |entry: &Entry, faults: Vec<Fault>| {
            let reference = entry.reference.clone();
            Outcome::Refused(
                faults
                    .into_iter()
                    .map(|fault| (reference.clone(), fault))
                    .collect(),
            )
        };
        let submission = match std::mem::replace(&mut entry.submission, Err(Vec::new())) {
            Ok(submission) => submission,
            Err(faults) => return refused(&entry, faults),
        };
        if let Some(problem) = unfit(&submission, channel) {
            let fault = entry.place(problem);
            return refused(&entry, vec![fault]);
        }
        match self.submit_patiently(principal, &submission).await {
            Ok(submitted) => Outcome::Taken(submitted),
            Err(Failure::Refused(problems)) => {
                let faults = problems
                    .into_iter()
                    .map(|problem| entry.place(problem))
                    .collect();
                refused(&entry, faults)
            }
            Err(failure) => {
                tracing::error!(row = entry.row, %failure, "the import stops");
                Outcome::Stopped(failure)
            }
        }
    }

    async fn submit_patiently(
        &self,
        principal: &Principal,
        submission: &Submission,
    ) -> Result<Submitted, Failure> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            let actor = &principal.actor;
            match self
                .submit_order(principal, actor, submission, Source::Import, None)
                .await
            {
                Err(failure) if failure.unavailable() || failure.lost_a_race() => {
                    tracing::warn!(%failure, "an order is tried again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        self.submit_order(
            principal,
            &principal.actor,
            submission,
            Source::Import,
            None,
        )
        .await
    }
}

/// What a file's order must have besides what every order must have.
fn unfit(submission: &Submission, channel: &str) -> Option<Problem> {
    let reference = submission
        .external_reference
        .as_deref()
        .unwrap_or_default()
        .trim();
    if reference.is_empty() {
        let message = "an order in a file needs its reference, by which a repetition knows it";
        return Some(Problem::new(Code::InvalidInput, message).at("input.externalReference"));
    }
    if !submission
        .channel
        .trim()
        .eq_ignore_ascii_case(channel.trim())
    {
        let message = format!("the file is imported into {channel}");
        return Some(Problem::new(Code::InvalidInput, message).at("input.channel"));
    }
    None
}

/// A run under way.
struct Run<'a> {
    app: &'a App,
    principal: &'a Principal,
    id: ImportId,
    tally: Tally,
    unwritten: Vec<OrderFault>,
    written: chrono::DateTime<chrono::Utc>,
}

impl Run<'_> {
    async fn write_if_due(&mut self) -> Result<(), Failure> {
        let a_second_ago = self.app.clock.now() - self.written >= TimeDelta::seconds(1);
        if self.tally.processed.is_multiple_of(ORDERS_A_RECORD) || a_second_ago {
            return self.write(None).await;
        }
        Ok(())
    }

    async fn write(&mut self, end: Option<Status>) -> Result<(), Failure> {
        let (id, tally, faults) = (self.id, &self.tally, self.unwritten.as_slice());
        self.app
            .write(&self.principal.actor, move |tx| async move {
                record::advance(&tx, id, tally, faults, end).await
            })
            .await?;
        self.unwritten.clear();
        self.written = self.app.clock.now();
        // Nobody else may be there to give the events their positions.
        self.app.hub.turn().await?;
        Ok(())
    }
}
