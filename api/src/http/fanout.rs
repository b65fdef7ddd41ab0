//! One execution for all who follow the same: the same document, variables and rights.
//!
//! Every client begins alone, with a snapshot or a resumption of its own. Once its stream has come
//! to the end of the log it joins the group of its kind, or becomes its first member and its stream
//! the group's. From there on an event is selected and written as JSON once; members take the same
//! bytes from a ring, each at its own pace. Nobody waits for a member: one that has fallen off the
//! ring goes on alone from its cursor, and joins again. See [`Course::adopt`] for why nothing is
//! lost or doubled on the way.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::course::{Apart, Course, Place};
use super::operation::Recipe;
use crate::telemetry::figures;

/// How much a group keeps for members that read slowly and for those who join.
const RING_ITEMS: usize = 256;
const RING_BYTES: usize = 1024 * 1024;
/// For how long it does, when it is not quiet.
const RING_AGE: Duration = Duration::from_secs(10);

/// How many streams catch up at a time.
const TURNS: usize = 8;

/// What clients must have in common to share a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// The document, and which of its operations.
    pub text: Arc<str>,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// The variables as JSON, those aside that say only where to begin.
    pub variables: String,
    /// What the callers may see.
    pub rights: Arc<str>,
}

/// One item, as all members get it.
#[derive(Debug)]
pub(super) struct Item {
    /// The answer.
    pub json: Box<str>,
    /// Resumes behind it; none within a snapshot.
    pub cursor: Option<Arc<str>>,
    /// When it was made.
    pub made: Instant,
    seq: i64,
}

impl Item {
    pub fn new(json: String, place: Option<Place>) -> Self {
        let (seq, cursor) = place.map_or((0, None), |place| (place.seq, place.cursor));
        Item {
            json: json.into_boxed_str(),
            cursor,
            made: Instant::now(),
            seq,
        }
    }
}

/// The groups of this node, and what they have done.
#[derive(Debug)]
pub struct FanOut {
    /// The turns of streams that catch up.
    pub(super) turns: Arc<Semaphore>,
    groups: Mutex<HashMap<Kind, Arc<Group>>>,
    executed: AtomicU64,
    shared: AtomicU64,
    delivered: AtomicU64,
}

/// What was done for subscribers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FanOutCounts {
    /// Groups with members.
    pub groups: usize,
    /// Members of groups.
    pub members: usize,
    /// Selections executed for items of subscriptions.
    pub executed: u64,
    /// Those of them that were executed for a group.
    pub shared: u64,
    /// Items handed to members by their groups.
    pub delivered: u64,
}

/// Those who follow the same.
#[derive(Debug)]
pub(super) struct Group {
    kind: Kind,
    recipe: Arc<Recipe>,
    course: Arc<Course>,
    ring: Mutex<Ring>,
    members: Mutex<Members>,
    leader: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct Ring {
    items: VecDeque<Arc<Item>>,
    /// The number of the first of them.
    first: u64,
    bytes: usize,
    /// The newest position that was forgotten.
    floor: i64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Members {
    wakers: HashMap<u64, Arc<AtomicWaker>>,
    next: u64,
}

/// A client's place in a group; given up when dropped.
pub(super) struct Membership {
    fan_out: Arc<FanOut>,
    group: Arc<Group>,
    number: u64,
    /// Wakes whoever takes the client's items.
    waker: Arc<AtomicWaker>,
    /// The next item's number.
    next: u64,
    /// Where the client stands.
    cursor: Option<Arc<str>>,
}

/// What a member finds when it looks.
pub(super) enum Found {
    /// The next item.
    Item(Arc<Item>),
    /// Nothing new.
    Nothing,
    /// The group has left it behind or has ended: it must go on alone.
    Alone,
}

/// What came of the wish to join.
pub(super) enum Entered {
    /// It is a member.
    Member(Membership),
    /// It is the first: its stream is the group's from now on.
    First(Membership),
    /// The group has yet to come as far; here it is seen to.
    Behind(watch::Receiver<i64>),
    /// Not from this position.
    Apart,
}

impl Default for FanOut {
    fn default() -> Self {
        FanOut {
            turns: Arc::new(Semaphore::new(TURNS)),
            groups: Mutex::default(),
            executed: AtomicU64::default(),
            shared: AtomicU64::default(),
            delivered: AtomicU64::default(),
        }
    }
}

impl FanOut {
    /// What was done so far.
    pub fn counts(&self) -> FanOutCounts {
        let groups = lock(&self.groups);
        FanOutCounts {
            groups: groups.len(),
            members: groups
                .values()
                .map(|group| lock(&group.members).wakers.len())
                .sum(),
            executed: self.executed.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
        }
    }

    /// A selection was executed for an item.
    pub(super) fn count_execution(&self, shared: bool) {
        figures::executed();
        self.executed.fetch_add(1, Ordering::Relaxed);
        if shared {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Joins the group of a kind with a stream that has come to the end of the log, or founds it.
    pub(super) fn enter(
        self: &Arc<Self>,
        kind: &Kind,
        recipe: &Arc<Recipe>,
        course: &Arc<Course>,
        end: &Place,
    ) -> Entered {
        let mut groups = lock(&self.groups);
        let Some(group) = groups.get(kind) else {
            course.open(end.seq);
            let group = Arc::new(Group {
                kind: kind.clone(),
                recipe: recipe.clone(),
                course: course.clone(),
                ring: Mutex::new(Ring {
                    items: VecDeque::new(),
                    first: 0,
                    bytes: 0,
                    floor: end.seq,
                    ended: false,
                }),
                members: Mutex::default(),
                leader: OnceLock::new(),
            });
            groups.insert(kind.clone(), group.clone());
            return Entered::First(self.member(group, 0, end));
        };
        let group = group.clone();
        let first = group
            .course
            .adopt(course, end.seq, || group.first_behind(end.seq));
        match first {
            Ok(next) => Entered::Member(self.member(group, next, end)),
            Err(Apart::Behind) => Entered::Behind(group.course.settled()),
            Err(Apart::Owing) => Entered::Apart,
        }
    }

    fn member(self: &Arc<Self>, group: Arc<Group>, next: u64, end: &Place) -> Membership {
        let waker = Arc::new(AtomicWaker::new());
        let mut members = lock(&group.members);
        let number = members.next;
        members.next += 1;
        members.wakers.insert(number, waker.clone());
        drop(members);
        Membership {
            fan_out: self.clone(),
            group,
            number,
            waker,
            next,
            cursor: end.cursor.clone(),
        }
    }

    /// Ends a group: its stream has. Members go on alone.
    pub(super) fn end(&self, group: &Arc<Group>) {
        let mut groups = lock(&self.groups);
        if groups
            .get(&group.kind)
            .is_some_and(|known| Arc::ptr_eq(known, group))
        {
            groups.remove(&group.kind);
        }
        drop(groups);
        lock(&group.ring).ended = true;
        // Who waits for a position looks again, and finds the group gone.
        group.course.settle(i64::MAX);
        group.wake();
    }
}

impl Group {
    /// How far its stream has come.
    pub fn course(&self) -> &Arc<Course> {
        &self.course
    }

    /// The stream runs in this task, which ends with the last member.
    pub fn led_by(&self, leader: AbortHandle) {
        let _ = self.leader.set(leader);
    }

    /// Hands an item to all members.
    pub fn publish(&self, item: Item) {
        self.course.still(|| {
            let seq = item.seq;
            lock(&self.ring).push(item);
            self.course.settle(seq);
        });
        self.wake();
    }

    fn wake(&self) {
        for waker in lock(&self.members).wakers.values() {
            waker.wake();
        }
    }

    /// The number of the first item behind a position, if all of them are there.
    fn first_behind(&self, seq: i64) -> Result<u64, Apart> {
        let ring = lock(&self.ring);
        if ring.ended || ring.floor > seq {
            return Err(Apart::Owing);
        }
        let before = ring.items.partition_point(|item| item.seq <= seq);
        Ok(ring.first + before as u64)
    }
}

impl Ring {
    fn push(&mut self, item: Item) {
        let now = item.made;
        self.bytes += item.json.len();
        self.items.push_back(Arc::new(item));
        while let Some(oldest) = self.items.front() {
            let old = now.duration_since(oldest.made) > RING_AGE;
            if self.items.len() <= RING_ITEMS && self.bytes <= RING_BYTES && !old {
                break;
            }
            self.bytes -= oldest.json.len();
            self.floor = oldest.seq;
            self.first += 1;
            self.items.pop_front();
        }
    }
}

impl Membership {
    /// Has this waker woken when there is something to look for. Whoever looks does this first, and
    /// misses nothing that comes between the two.
    pub fn watch(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Whether there is something to look for.
    pub fn waits(&self) -> bool {
        let ring = lock(&self.group.ring);
        ring.ended || self.next != ring.first + ring.items.len() as u64
    }

    /// Waits until there is something to look for.
    pub async fn stirred(&self) {
        poll_fn(|context| {
            self.watch(context.waker());
            match self.waits() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// What there is for the client now.
    pub fn next(&mut self) -> Found {
        let ring = lock(&self.group.ring);
        let found = match self.next.checked_sub(ring.first) {
            Some(index) => ring.items.get(index as usize).cloned(),
            None => return Found::Alone,
        };
        let ended = ring.ended;
        drop(ring);
        match found {
            Some(item) => {
                self.next += 1;
                self.cursor.clone_from(&item.cursor);
                self.fan_out.delivered.fetch_add(1, Ordering::Relaxed);
                Found::Item(item)
            }
            None if ended => Found::Alone,
            None => Found::Nothing,
        }
    }

    /// Where the client stands.
    pub fn cursor(&self) -> Option<Arc<str>> {
        self.cursor.clone()
    }

    /// What must be run, and from where, to go on alone.
    pub fn leave(self) -> (Arc<Recipe>, Option<Arc<str>>) {
        (self.group.recipe.clone(), self.cursor.clone())
    }

    /// The group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Under the lock of all groups, so that nobody joins a group that ends.
        let mut groups = lock(&self.fan_out.groups);
        let mut members = lock(&self.group.members);
        members.wakers.remove(&self.number);
        let empty = members.wakers.is_empty();
        drop(members);
        if !empty {
            return;
        }
        let kind = &self.group.kind;
        if groups
            .get(kind)
            .is_some_and(|known| Arc::ptr_eq(known, &self.group))
        {
            groups.remove(kind);
        }
        if let Some(leader) = self.group.leader.get() {
            leader.abort();
        }
    }
}

/// A lock; nobody panics under one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::Map;
    use uuid::Uuid;

    use super::*;
    use crate::http::limits::Limits;
    use crate::http::operation::prepare;

    const ROWS: usize = 2;

    /// What happens next in a history.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A row comes to match, or ceases to.
        Change(usize),
        /// A client begins with a snapshot.
        Arrive,
        /// A client that is alone reads its next event, or else sees the end of the log.
        Alone(usize),
        /// A client joins from the end that it has seen, which may be the end no more.
        Join(usize),
        /// The group's stream reads its next event.
        Read,
        /// What it has read goes out.
        Publish,
        /// A client leaves.
        Leave(usize),
        /// A client goes on alone from its cursor.
        Part(usize),
    }

    /// A stream that reads the log by itself.
    struct Reader {
        course: Arc<Course>,
        sent: i64,
    }

    struct Client {
        reader: Reader,
        /// Whether it has seen the end of the log since it last read.
        at_end: bool,
        member: Option<Membership>,
        /// The rows that it has been shown and not told to remove.
        sees: BTreeSet<usize>,
        /// The positions of which it was told.
        told: Vec<i64>,
        began: i64,
    }

    struct History {
        fan_out: Arc<FanOut>,
        recipe: Arc<Recipe>,
        matches: [bool; ROWS],
        log: Vec<usize>,
        leader: Option<(Reader, Arc<Group>)>,
        /// What the leader has read and not yet given out.
        unpublished: Option<Item>,
        clients: Vec<Client>,
    }

    fn id(row: usize) -> Uuid {
        Uuid::from_u128(row as u128)
    }

    impl Reader {
        /// What the next event means: a position, and a row shown or removed.
        fn read(&mut self, matches: &[bool; ROWS], log: &[usize]) -> Option<(i64, String)> {
            let row = log[usize::try_from(self.sent).unwrap()];
            self.sent += 1;
            let said = if matches[row] {
                self.course.shows([id(row)]);
                format!("+{row}")
            } else if self.course.hides(self.sent, id(row)) {
                format!("-{row}")
            } else {
                return None;
            };
            self.course.says(self.sent, Some(&self.sent.to_string()));
            Some((self.sent, said))
        }
    }

    impl Client {
        fn hear(&mut self, seq: i64, said: &str) {
            let last = self.told.last().copied().unwrap_or(self.began);
            assert!(seq > last, "{seq} after {last}");
            self.told.push(seq);
            let row = said[1..].parse().unwrap();
            if said.starts_with('+') {
                self.sees.insert(row);
            } else {
                self.sees.remove(&row);
            }
        }

        fn take(&mut self) {
            while let Some(member) = &mut self.member {
                match member.next() {
                    Found::Item(item) => self.hear(item.seq, &item.json),
                    Found::Nothing => return,
                    Found::Alone => panic!("left behind"),
                }
            }
        }
    }

    impl History {
        fn new() -> Self {
            let text = "subscription { a }";
            let operation = prepare(text, None, Map::new(), Map::new(), &Limits::default());
            History {
                fan_out: Arc::default(),
                recipe: operation.unwrap().recipe.unwrap(),
                matches: [false; ROWS],
                log: Vec::new(),
                leader: None,
                unpublished: None,
                clients: Vec::new(),
            }
        }

        fn matching(&self) -> BTreeSet<usize> {
            (0..ROWS).filter(|row| self.matches[*row]).collect()
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Change(row) => {
                    self.matches[row] = !self.matches[row];
                    self.log.push(row);
                }
                Step::Arrive => {
                    let sees = self.matching();
                    let course = Arc::new(Course::new(None, true, None));
                    course.shows(sees.iter().map(|row| id(*row)));
                    let sent = self.log.len() as i64;
                    self.clients.push(Client {
                        reader: Reader { course, sent },
                        at_end: false,
                        member: None,
                        sees,
                        told: Vec::new(),
                        began: sent,
                    });
                }
                Step::Alone(client) => self.alone(client),
                Step::Join(client) => self.join(client),
                Step::Read => self.read(),
                Step::Publish => self.publish(),
                Step::Leave(client) => {
                    if client < self.clients.len() {
                        self.clients.remove(client);
                        self.look_for_leader();
                    }
                }
                Step::Part(client) => {
                    let Some(client) = self.clients.get_mut(client) else {
                        return;
                    };
                    client.take();
                    let Some(member) = client.member.take() else {
                        return;
                    };
                    let (_, cursor) = member.leave();
                    let course = Arc::new(Course::new(None, true, None));
                    // As who resumes may have been shown anything that changed meanwhile.
                    course.shows((0..ROWS).map(id));
                    let sent = cursor.unwrap().parse().unwrap();
                    client.reader = Reader { course, sent };
                    client.at_end = false;
                    self.look_for_leader();
                }
            }
        }

        /// The leader ends with the last member.
        fn look_for_leader(&mut self) {
            if self.fan_out.counts().groups == 0 {
                self.leader = None;
                self.unpublished = None;
            }
        }

        fn alone(&mut self, client: usize) {
            let Some(client) = self.clients.get_mut(client) else {
                return;
            };
            if client.member.is_some() {
                return;
            }
            let reader = &mut client.reader;
            client.at_end = (reader.sent as usize) == self.log.len();
            if !client.at_end
                && let Some((seq, said)) = reader.read(&self.matches, &self.log)
            {
                client.hear(seq, &said);
            }
        }

        fn join(&mut self, client: usize) {
            let Some(client) = self.clients.get_mut(client) else {
                return;
            };
            if client.member.is_some() || !client.at_end {
                return;
            }
            let reader = &client.reader;
            let kind = Kind {
                text: "".into(),
                operation_name: None,
                variables: String::new(),
                rights: "".into(),
            };
            let end = Place {
                seq: reader.sent,
                cursor: Some(reader.sent.to_string().into()),
            };
            let entered = self
                .fan_out
                .enter(&kind, &self.recipe, &reader.course, &end);
            client.member = match entered {
                Entered::Member(member) => Some(member),
                Entered::First(member) => {
                    let leader = Reader {
                        course: reader.course.clone(),
                        sent: reader.sent,
                    };
                    self.leader = Some((leader, member.group().clone()));
                    Some(member)
                }
                Entered::Behind(_) | Entered::Apart => None,
            };
        }

        fn read(&mut self) {
            self.publish();
            if let Some((leader, _)) = &mut self.leader
                && (leader.sent as usize) < self.log.len()
                && let Some((_, said)) = leader.read(&self.matches, &self.log)
            {
                self.unpublished = Some(Item::new(said, leader.course.item()));
            }
        }

        fn publish(&mut self) {
            if let (Some((_, group)), Some(item)) = (&self.leader, self.unpublished.take()) {
                group.publish(item);
            }
        }

        /// Lets everyone come to the end: each then sees what is so.
        fn rest(&mut self) {
            for _ in 0..=self.log.len() {
                self.read();
                for client in 0..self.clients.len() {
                    self.alone(client);
                    self.join(client);
                    self.clients[client].take();
                }
            }
            self.publish();
            let matching = self.matching();
            for client in &mut self.clients {
                client.take();
                assert_eq!(client.sees, matching);
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..ROWS).prop_map(Step::Change),
            1 => Just(Step::Arrive),
            6 => (0..4_usize).prop_map(Step::Alone),
            6 => (0..4_usize).prop_map(Step::Join),
            6 => Just(Step::Read),
            2 => Just(Step::Publish),
            1 => (0..4_usize).prop_map(Step::Leave),
            1 => (0..4_usize).prop_map(Step::Part),
        ];
        proptest::collection::vec(step, 20..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn whoever_joins_whenever_ends_up_seeing_what_is_so(steps in steps()) {
            let mut history = History::new();
            for step in steps {
                history.step(step);
            }
            history.rest();
        }
    }

    #[test]
    fn who_is_owed_a_removal_of_which_the_group_was_silent_does_not_join() {
        use Step::{Alone, Arrive, Change, Join, Read};
        let mut history = History::new();
        for step in [Arrive, Alone(0), Join(0)] {
            history.step(step);
        }
        // Shown to the second alone, and gone before the group has read that it came.
        for step in [Change(0), Arrive, Alone(1), Change(0), Read, Read, Join(1)] {
            history.step(step);
        }
        assert!(history.clients[1].member.is_none());
        history.rest();
        assert!(history.clients[1].member.is_some());
        assert_eq!(history.clients[1].told, [2]);
        assert!(history.clients[0].told.is_empty());
    }

    #[test]
    fn a_ring_keeps_what_is_recent_and_small() {
        let mut history = History::new();
        history.step(Step::Arrive);
        history.step(Step::Alone(0));
        history.step(Step::Join(0));
        let (_, group) = history.leader.as_ref().unwrap();
        let publish = |seq, size: usize| {
            let cursor = None;
            let item = Item::new("x".repeat(size), Some(Place { seq, cursor }));
            group.publish(item);
        };
        for seq in 1..=RING_ITEMS as i64 {
            publish(seq, 10);
        }
        let member = history.clients[0].member.as_mut().unwrap();
        assert!(matches!(member.next(), Found::Item(_)));
        publish(1_000, 10);
        assert!(matches!(member.next(), Found::Item(_)));
        publish(1_001, RING_BYTES);
        assert!(matches!(member.next(), Found::Alone));
        let ring = lock(&group.ring);
        assert_eq!((ring.items.len(), ring.floor), (1, 1_000));
    }
}
