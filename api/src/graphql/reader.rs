//! The one way in which streams follow the log: what it has behind a position, then what the hub
//! brings, each event once and in its order, and a word when that is not possible.
//!
//! A stream's [`Course`] hears from here when the log ends, for there alone it may come to be shared;
//! what was said, and what was passed over, it hears from the stream.

use std::cmp::min;
use std::sync::Arc;
use std::time::Duration;

use entity::event_log;
use sea_orm::{Condition, DbErr};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::cursor::Cursor;
use crate::app::App;
use crate::events::{self, Logged, PAGE, Position};
use crate::http::Course;

/// How long any stream may be quiet before it says that it lives.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many events who shows a state may have missed to go on from its cursor; one that was away
/// for longer gets a snapshot.
pub(super) const MOST_MISSED: i64 = 50_000;

/// How many positions are looked through for one page: a rare type costs no more than a common
/// one.
pub(super) const WINDOW: i64 = 10_000;

/// Where a reader begins that cannot go on where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    /// At the oldest event that is kept.
    AtTheOldest,
    /// At the end of the log, where the state is shown as it is. That is also the shorter way for
    /// one that has missed too much.
    AtTheEnd,
}

/// The cursor to go on from: the transport's, or else that of the arguments.
pub(super) fn after(
    course: &Course,
    argument: Option<&str>,
    scope: u64,
) -> async_graphql::Result<Option<Cursor>> {
    let after = course.after().or(argument);
    after.map(|text| Cursor::read(text, scope)).transpose()
}

/// What a reader comes upon.
#[derive(Debug)]
pub(super) enum Step {
    /// It stands at the end of the log: the first step without a cursor. The state as it is read
    /// from now on is at this position or ahead of it, never behind.
    Begun,
    /// It stands at its cursor: the first step with one.
    Resumed,
    /// What was to come next is not to be had: it is older than what is kept, was too much, or the
    /// log is another one. The reader has begun anew; who follows it must, too.
    Lost,
    /// What happened next. What is heard from the hub comes whether or not it is asked for.
    Event(Arc<Logged>),
    /// Nothing was said for as long as a stream may be quiet.
    Quiet,
    /// The time has come that the caller named.
    Due,
}

/// A reader of the log.
pub(super) struct Reader {
    app: Arc<App>,
    course: Arc<Course>,
    /// Whether the stream may come to be shared.
    seeks_company: bool,
    /// Which events are asked for.
    which: Condition,
    anew: Anew,
    live: broadcast::Receiver<Arc<Logged>>,
    /// The first step, until it is made.
    first: Option<Step>,
    /// Where it stands.
    at: Cursor,
    /// Where the log stood when it was last looked at.
    log: Position,
    /// What was read and not yet given out, and up to which position there is no more.
    page: std::vec::IntoIter<event_log::Model>,
    through: i64,
    /// Whether the log may have more than what was given out.
    behind: bool,
    quiet_until: Instant,
}

impl Reader {
    /// A reader from a cursor on, or from now. `scope` is that of its cursors.
    pub async fn begin(
        app: Arc<App>,
        course: Arc<Course>,
        which: Condition,
        anew: Anew,
        scope: u64,
        after: Option<Cursor>,
    ) -> Result<Reader, DbErr> {
        course.turn().await;
        // First the hub, then the position: what happens from here on is heard.
        let live = app.hub.subscribe().await?;
        let log = events::position(&app.db.read).await?;
        let end = Cursor {
            epoch: log.epoch,
            seq: log.last_seq,
            scope,
        };
        let mut reader = Reader {
            seeks_company: course.is_alone(),
            app,
            course,
            which,
            anew,
            live,
            first: Some(Step::Begun),
            at: after.unwrap_or(end),
            log,
            page: Vec::new().into_iter(),
            through: 0,
            behind: true,
            quiet_until: Instant::now() + HEARTBEAT,
        };
        if let Some(after) = after {
            let resumes = after.resumes(log) && !reader.is_left_behind();
            reader.first = Some(if resumes {
                Step::Resumed
            } else {
                reader.lose()
            });
        }
        Ok(reader)
    }

    /// Where it stands.
    pub fn at(&self) -> Cursor {
        self.at
    }

    /// The end of the log when it was last looked at.
    pub fn end(&self) -> i64 {
        self.log.last_seq
    }

    /// Whether the log is known to have more, or not known to have none.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Something was said: the stream may be quiet for as long again.
    pub fn spoke(&mut self) {
        self.quiet_until = Instant::now() + HEARTBEAT;
    }

    /// What comes next, at the latest when something is due; none when the stream is to end, and its
    /// followers to go on alone from their cursors.
    pub async fn next(&mut self, due: Option<Instant>) -> Result<Option<Step>, DbErr> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        // Once something was said, the end of the log has to be seen again.
        self.behind |= self.course.is_alone();
        loop {
            if Instant::now() >= self.quiet_until {
                self.spoke();
                return Ok(Some(Step::Quiet));
            }
            if let Some(row) = self.page.next() {
                if self.is_left_behind() {
                    if !self.seeks_company {
                        return Ok(Some(self.lose()));
                    }
                    self.course.left_behind();
                    return Ok(None);
                }
                self.at.seq = row.seq;
                return Ok(Some(Step::Event(Arc::new(Logged::new(row)))));
            }
            if self.at.seq < self.through {
                self.at.seq = self.through;
                self.course.passes(self.at.seq);
            }
            if self.behind {
                if !self.look().await? {
                    let is_shared = self.seeks_company && !self.course.is_alone();
                    return Ok((!is_shared).then(|| self.lose()));
                }
                if !self.behind && self.course.is_alone() {
                    self.course.reached(self.at.seq, &self.at.write());
                }
                continue;
            }
            let until = due.map_or(self.quiet_until, |due| min(due, self.quiet_until));
            match tokio::time::timeout_at(until, self.live.recv()).await {
                Err(_) if until < self.quiet_until => return Ok(Some(Step::Due)),
                Err(_) => {}
                Ok(Ok(logged)) if logged.row.seq <= self.at.seq => {}
                Ok(Ok(logged)) if logged.row.seq == self.at.seq + 1 => {
                    self.at.seq = logged.row.seq;
                    return Ok(Some(Step::Event(logged)));
                }
                // Positions have no holes, so anything but the next one means that the log must be
                // read.
                Ok(Ok(_)) | Ok(Err(RecvError::Lagged(_))) => self.behind = true,
                // The hub has come upon another log.
                Ok(Err(RecvError::Closed)) => {
                    self.live = self.app.hub.subscribe().await?;
                    self.behind = true;
                }
            }
        }
    }

    /// Reads on, and says whether nothing was missed. It is no longer behind if there was nothing.
    async fn look(&mut self) -> Result<bool, DbErr> {
        let db = &self.app.db.read;
        let until = min(self.at.seq + WINDOW, self.log.last_seq);
        let mut rows = Vec::new();
        if self.at.seq < until {
            rows = events::page(db, self.which.clone(), self.at.seq, until, PAGE).await?;
        }
        // What retention has removed while it was read is no silent gap.
        self.log = events::position(db).await?;
        if !self.at.resumes(self.log) {
            return Ok(false);
        }
        self.through = match rows.last() {
            Some(last) if rows.len() as u64 == PAGE => last.seq,
            _ => std::cmp::max(self.at.seq, until),
        };
        self.behind = !rows.is_empty() || self.through < self.log.last_seq;
        self.page = rows.into_iter();
        Ok(true)
    }

    /// Whether there is more than who shows a state may have missed.
    fn is_left_behind(&self) -> bool {
        self.anew == Anew::AtTheEnd && self.log.last_seq - self.at.seq > MOST_MISSED
    }

    /// Begins anew.
    fn lose(&mut self) -> Step {
        self.at = Cursor {
            epoch: self.log.epoch,
            seq: match self.anew {
                Anew::AtTheOldest => self.log.floor_seq,
                Anew::AtTheEnd => self.log.last_seq,
            },
            ..self.at
        };
        self.page = Vec::new().into_iter();
        self.through = self.at.seq;
        self.behind = true;
        Step::Lost
    }
}
