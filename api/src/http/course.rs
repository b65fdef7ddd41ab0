//! How far a stream by position has come, told beside its items.
//!
//! A stream that follows the log answers each of its positions with an item or with nothing, and a
//! transport that wants to share one stream among many clients must know of both. So the resolver
//! finds a [`Course`] in the data of its request and tells it where it stands; one that finds none
//! makes its own. Resolvers of other streams never look, and their streams are not shared.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use uuid::Uuid;

/// How many positions without an item are remembered for those who want to join.
const REMEMBERED: usize = 4096;

/// For how long a stream has its turn.
const TURN: Duration = Duration::from_secs(1);

/// Where one stream stands, and which rows its clients have been shown.
#[derive(Debug)]
pub struct Course {
    after: Option<Arc<str>>,
    seeks_company: bool,
    /// Where it waits for its turn, if it does.
    turns: Option<Arc<Semaphore>>,
    state: Mutex<State>,
    /// Stirs when [`Course::reached`] was told.
    stirred: Notify,
    /// The position up to which a shared stream has been sent out.
    settled: watch::Sender<i64>,
}

#[derive(Debug, Default)]
struct State {
    /// The rows that were shown and not removed.
    shown: HashSet<Uuid>,
    /// What the next item is.
    item: Option<Place>,
    /// The end of the log, as long as nothing was said since it was seen.
    end: Option<Place>,
    /// Present once others have joined.
    silences: Option<Silences>,
    left_behind: bool,
    /// Its turn, and since when it has it.
    turn: Option<(OwnedSemaphorePermit, Instant)>,
}

/// A position, and the cursor that resumes from it; none within a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub seq: i64,
    pub cursor: Option<Arc<str>>,
}

/// The rows of positions of which nothing was said.
#[derive(Debug)]
struct Silences {
    rows: VecDeque<(i64, Uuid)>,
    /// The newest position that was forgotten.
    floor: i64,
}

/// Why a stream cannot be joined just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// It has not yet come as far.
    Behind,
    /// It was silent where the other stream owes its client a removal, or has forgotten whether.
    Owing,
}

impl State {
    /// Something is said of a position.
    fn moves(&mut self) {
        self.end = None;
        if let Some((_, since)) = &self.turn
            && since.elapsed() > TURN
        {
            self.turn = None;
        }
    }
}

impl Default for Course {
    fn default() -> Self {
        Course::new(None, false, None)
    }
}

impl Course {
    /// A stream from the beginning, or from a cursor, whatever its arguments say.
    pub(super) fn new(
        after: Option<Arc<str>>,
        seeks_company: bool,
        turns: Option<Arc<Semaphore>>,
    ) -> Self {
        Course {
            after,
            seeks_company,
            turns,
            state: Mutex::default(),
            stirred: Notify::new(),
            settled: watch::Sender::new(0),
        }
    }

    /// The cursor to go on from; it goes before that of the arguments.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Whether its client would rather share another's stream. The resolver then looks at the end
    /// of the log after each event: only there may one join.
    pub fn is_alone(&self) -> bool {
        self.seeks_company && self.state().silences.is_none()
    }

    /// Waits until the stream may begin. Those that catch up all at once would each be too slow
    /// ever to come to the end of a busy log, so they take turns; a turn ends there, after a
    /// second, or when the client has to be waited for.
    pub async fn turn(&self) {
        let Some(turns) = &self.turns else { return };
        if let Ok(turn) = turns.clone().acquire_owned().await {
            self.state().turn = Some((turn, Instant::now()));
        }
    }

    /// The client has to be waited for: let others have the turn.
    pub(super) fn give_way(&self) {
        self.state().turn = None;
    }

    /// Rows were shown.
    pub fn shows(&self, rows: impl IntoIterator<Item = Uuid>) {
        self.state().shown.extend(rows);
    }

    /// The row of a position matches no longer, or never did. Returns whether it was shown, so that
    /// its removal must be said; otherwise nothing will be said of this position.
    pub fn hides(&self, seq: i64, row: Uuid) -> bool {
        let mut state = self.state();
        state.moves();
        if state.shown.remove(&row) {
            return true;
        }
        if let Some(silences) = &mut state.silences {
            silences.rows.push_back((seq, row));
            if silences.rows.len() > REMEMBERED
                && let Some((seq, _)) = silences.rows.pop_front()
            {
                silences.floor = seq;
            }
            self.settle(seq);
        }
        false
    }

    /// A position is about no row of this stream.
    pub fn passes(&self, seq: i64) {
        let mut state = self.state();
        state.moves();
        if state.silences.is_some() {
            self.settle(seq);
        }
    }

    /// An item of a position follows; without a cursor where it cannot be resumed from.
    pub fn says(&self, seq: i64, cursor: Option<&str>) {
        let mut state = self.state();
        state.moves();
        state.item = Some(Place {
            seq,
            cursor: cursor.map(Arc::from),
        });
    }

    /// Everything up to a position was said, and the log ended there when it was last read: after
    /// every row that was shown.
    pub fn reached(&self, seq: i64, cursor: &str) {
        let mut state = self.state();
        state.turn = None;
        state.end = Some(Place {
            seq,
            cursor: Some(cursor.into()),
        });
        drop(state);
        self.stirred.notify_one();
    }

    /// The stream is so far behind that it ends.
    pub fn left_behind(&self) {
        self.state().left_behind = true;
    }

    pub(super) fn was_left_behind(&self) -> bool {
        self.state().left_behind
    }

    /// What the item is that the stream has just given.
    pub(super) fn item(&self) -> Option<Place> {
        self.state().item.take()
    }

    /// The end of the log, once it is reached.
    pub(super) async fn end(&self) -> Place {
        loop {
            self.stirred.notified().await;
            if let Some(end) = self.state().end.take() {
                return end;
            }
        }
    }

    /// From here on others may join.
    pub(super) fn open(&self, seq: i64) {
        self.state().silences = Some(Silences {
            rows: VecDeque::new(),
            floor: seq,
        });
        self.settle(seq);
    }

    /// Everything up to a position has gone out to all who have joined.
    pub(super) fn settle(&self, seq: i64) {
        self.settled.send_replace(seq);
    }

    /// To wait until a position is settled.
    pub(super) fn settled(&self) -> watch::Receiver<i64> {
        self.settled.subscribe()
    }

    /// Takes over what another stream has shown up to a position at which it saw the end of the
    /// log, if this stream owes its client what the other would owe it from there on. `before`
    /// runs while neither moves.
    ///
    /// Why that is so: let Q be the other's position and P, not before it, the one that is settled
    /// here. An UPSERT says what a row is now, to everyone; only a REMOVE depends on what was
    /// shown. For the positions from Q to P what was said here holds for the other's client too,
    /// unless a row of its own was passed over in silence: then it is refused. Behind P each row
    /// that it was shown and not told to remove is among those shown here, since they are joined
    /// now, and both sides grow and shrink by the same items from then on. A client may hear of
    /// the removal of a row that only others were shown, which are rows that it may see, and as
    /// who resumes from a cursor may; it never misses one. Nor does a row go backwards: the log
    /// had nothing behind Q after the other had read its rows, so whatever was read for a position
    /// behind Q was read later.
    pub(super) fn adopt<T>(
        &self,
        other: &Course,
        from: i64,
        before: impl FnOnce() -> Result<T, Apart>,
    ) -> Result<T, Apart> {
        let mut state = self.state();
        if *self.settled.borrow() < from {
            return Err(Apart::Behind);
        }
        let mut theirs = other.state();
        let owing = state.silences.as_ref().is_none_or(|silences| {
            let owed = |(seq, row): &(i64, Uuid)| *seq > from && theirs.shown.contains(row);
            silences.floor > from || silences.rows.iter().any(owed)
        });
        if owing {
            return Err(Apart::Owing);
        }
        let done = before()?;
        state.shown.extend(theirs.shown.drain());
        Ok(done)
    }

    /// Runs something while the stream does not move.
    pub(super) fn still<T>(&self, what: impl FnOnce() -> T) -> T {
        let _state = self.state();
        what()
    }

    /// The lock; nobody panics under it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
