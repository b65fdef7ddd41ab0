//! What carries events between nodes, and what a node makes of what it hears: one contract for the
//! bus within a process and for Redis.

use api::catalogue;
use api::config::RedisConfig;
use api::events::bus::{Bus, Ear, Envelope, Heard, LARGEST};
use api::events::{Hub, Logged, position};
use api::tx::{Actor, new_id};
use bytes::Bytes;
use entity::VariantId;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use support::{Backend, TestApp, journey, redis};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::timeout;
use uuid::Uuid;

/// How long a node may take to hear something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs each article of the contract on both buses; on PostgreSQL, where positions are given after
/// the commit.
macro_rules! both_buses {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn process() {
                let bus = Bus::process();
                contract([bus.clone(), bus], super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn redis() {
                let Some([(_, url), (_, prefix)]) = redis::settings() else {
                    return;
                };
                let config = RedisConfig { url, prefix };
                contract([Bus::of(&config), Bus::of(&config)], super::$name).await;
            }
        }
    )+};
}

both_buses!(
    what_one_node_stamps_the_other_delivers_in_its_order,
    a_hole_is_filled_from_the_log,
    what_is_heard_twice_is_delivered_once,
    nonsense_is_a_reason_to_read_the_log,
    what_is_too_large_to_be_told_is_read_from_the_log,
    a_beat_that_is_ahead_is_a_reason_to_read_the_log,
    another_logs_events_are_not_delivered,
    in_another_log_every_subscription_ends,
    a_node_that_hears_nothing_reads_the_log,
);

/// A node: its hub, its ear and one subscriber.
struct Node {
    hub: Arc<Hub>,
    ear: Ear,
    subscriber: Receiver<Arc<Logged>>,
}

impl Node {
    async fn on(app: &TestApp, bus: Bus) -> Node {
        let mut ear = bus.join();
        if bus.leaves_the_process() {
            let joined = timeout(PATIENCE, ear.next()).await.expect("Redis in time");
            assert!(matches!(joined, Heard::Joined), "{joined:?}");
        }
        let hub = Arc::new(Hub::new(app.app.db.clone(), bus));
        let subscriber = hub.subscribe().await.unwrap();
        Node {
            hub,
            ear,
            subscriber,
        }
    }

    /// The next message that the node gets, not yet taken.
    async fn message(&mut self) -> Bytes {
        match timeout(PATIENCE, self.ear.next()).await {
            Ok(Heard::Message(message)) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// The positions that its subscriber has got since it was last asked.
    fn delivered(&mut self) -> Vec<i64> {
        let mut seqs = Vec::new();
        loop {
            match self.subscriber.try_recv() {
                Ok(logged) => seqs.push(logged.row.seq),
                Err(TryRecvError::Empty) => return seqs,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Two nodes on one database and one bus.
async fn contract(buses: [Bus; 2], steps: impl AsyncFnOnce(&TestApp, Node, Node)) {
    journey(Backend::Postgres, async |app| {
        let [one, other] = buses;
        let one = Node::on(app, one).await;
        let other = Node::on(app, other).await;
        steps(app, one, other).await;
    })
    .await;
}

/// Makes something happen so many times, in one transaction.
async fn happen(app: &TestApp, times: usize, code: &str) {
    let actor = Actor::worker("test");
    let written = app.app.write(&actor, move |tx| async move {
        for _ in 0..times {
            catalogue::changed(
                &tx,
                "variant",
                new_id::<VariantId>(),
                1,
                code,
                api::events::Changes::default(),
            );
        }
        Ok(())
    });
    written.await.unwrap();
}

async fn what_one_node_stamps_the_other_delivers_in_its_order(
    app: &TestApp,
    mut one: Node,
    mut other: Node,
) {
    for times in [1, 3, 2] {
        happen(app, times, "X").await;
        assert_eq!(one.hub.turn().await.unwrap(), times);
        let message = other.message().await;
        assert_eq!(other.hub.hear(&message).await.unwrap(), times);
        // Who stamped it has delivered it already.
        let echo = one.message().await;
        assert_eq!(one.hub.hear(&echo).await.unwrap(), 0);
    }
    assert_eq!(one.delivered(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(other.delivered(), [1, 2, 3, 4, 5, 6]);
    // The other way round.
    happen(app, 1, "X").await;
    other.hub.turn().await.unwrap();
    let message = one.message().await;
    assert_eq!(one.hub.hear(&message).await.unwrap(), 1);
    assert_eq!((one.delivered(), other.delivered()), (vec![7], vec![7]));
}

async fn a_hole_is_filled_from_the_log(app: &TestApp, one: Node, mut other: Node) {
    happen(app, 2, "X").await;
    one.hub.turn().await.unwrap();
    let late = other.message().await;
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    assert_eq!(other.hub.hear(&message).await.unwrap(), 3);
    assert_eq!(other.hub.hear(&late).await.unwrap(), 0);
    assert_eq!(other.delivered(), [1, 2, 3]);
}

async fn what_is_heard_twice_is_delivered_once(app: &TestApp, one: Node, mut other: Node) {
    happen(app, 2, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    assert_eq!(other.hub.hear(&message).await.unwrap(), 2);
    assert_eq!(other.hub.hear(&message).await.unwrap(), 0);
    // What begins before where the node stands is delivered from there on.
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let next = other.message().await;
    let mut joined = Envelope::read(&message).unwrap();
    let next = Envelope::read(&next).unwrap();
    joined.last = next.last;
    joined.events.extend(next.events);
    assert_eq!(other.hub.hear(&joined.write()).await.unwrap(), 1);
    assert_eq!(other.delivered(), [1, 2, 3]);
}

async fn nonsense_is_a_reason_to_read_the_log(app: &TestApp, one: Node, mut other: Node) {
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    let spoiled = &message[..message.len() / 2];
    for (nonsense, delivered) in [(spoiled, 1), (b"".as_slice(), 0), (b"{}", 0), (b"[1]", 0)] {
        assert_eq!(other.hub.hear(nonsense).await.unwrap(), delivered);
    }
    // A message whose positions contradict each other is nonsense, whatever it brings.
    happen(app, 2, "X").await;
    one.hub.turn().await.unwrap();
    let mut wrong = Envelope::read(&other.message().await).unwrap();
    wrong.events.swap(0, 1);
    assert_eq!(other.hub.hear(&wrong.write()).await.unwrap(), 2);
    assert_eq!(other.delivered(), [1, 2, 3]);
}

async fn what_is_too_large_to_be_told_is_read_from_the_log(
    app: &TestApp,
    one: Node,
    mut other: Node,
) {
    happen(app, 400, &"x".repeat(1_000)).await;
    assert_eq!(one.hub.turn().await.unwrap(), 400);
    let message = other.message().await;
    assert!(message.len() < LARGEST);
    assert!(Envelope::read(&message).unwrap().events.is_empty());
    assert_eq!(other.hub.hear(&message).await.unwrap(), 400);
    assert!(other.delivered().into_iter().eq(1..=400));
}

async fn a_beat_that_is_ahead_is_a_reason_to_read_the_log(
    app: &TestApp,
    one: Node,
    mut other: Node,
) {
    happen(app, 2, "X").await;
    one.hub.turn().await.unwrap();
    let mut beat = Envelope::read(&other.message().await).unwrap();
    beat.events.clear();
    assert_eq!(other.hub.hear(&beat.write()).await.unwrap(), 2);
    assert_eq!(other.hub.hear(&beat.write()).await.unwrap(), 0);
    // One that is ahead of the log itself brings nothing.
    beat.last = i64::MAX;
    assert_eq!(other.hub.hear(&beat.write()).await.unwrap(), 0);
    assert_eq!(other.delivered(), [1, 2]);
}

async fn another_logs_events_are_not_delivered(app: &TestApp, one: Node, mut other: Node) {
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let mut foreign = Envelope::read(&other.message().await).unwrap();
    foreign.epoch = Uuid::new_v4();
    foreign.events[0].payload = json!({ "kind": "variant", "code": "foreign" });
    assert_eq!(other.hub.hear(&foreign.write()).await.unwrap(), 1);
    let logged = other.subscriber.recv().await.unwrap();
    assert_eq!(logged.row.payload["code"], "X");
    (foreign.last, foreign.events[0].seq) = (2, 2);
    assert_eq!(other.hub.hear(&foreign.write()).await.unwrap(), 0);
    assert!(other.delivered().is_empty());
}

async fn in_another_log_every_subscription_ends(app: &TestApp, one: Node, mut other: Node) {
    happen(app, 2, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    other.hub.hear(&message).await.unwrap();
    assert_eq!(other.delivered(), [1, 2]);
    // As after a restore.
    let db = &app.app.db;
    let sql = "UPDATE sequencer SET epoch = $1";
    let values = [Uuid::new_v4().into()];
    let restored = Statement::from_sql_and_values(db.backend, sql, values);
    db.write.execute_raw(restored).await.unwrap();
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    assert_eq!(other.hub.hear(&message).await.unwrap(), 0);
    let ended = other.subscriber.recv().await;
    assert!(matches!(ended, Err(RecvError::Closed)), "{ended:?}");
    // Who comes back hears what comes.
    other.subscriber = other.hub.subscribe().await.unwrap();
    happen(app, 1, "X").await;
    one.hub.turn().await.unwrap();
    let message = other.message().await;
    assert_eq!(other.hub.hear(&message).await.unwrap(), 1);
    assert_eq!(other.delivered(), [4]);
}

async fn a_node_that_hears_nothing_reads_the_log(app: &TestApp, _: Node, mut other: Node) {
    let hub = other.hub.clone();
    let running = tokio::spawn(async move { hub.run().await });
    // A node that tells nobody.
    let silent = Hub::new(app.app.db.clone(), Bus::process());
    for _ in 0..3 {
        happen(app, 1, "X").await;
        silent.turn().await.unwrap();
    }
    let last = position(&app.app.db.read).await.unwrap().last_seq;
    let mut delivered = Vec::new();
    while delivered.last() != Some(&last) {
        let logged = timeout(PATIENCE, other.subscriber.recv()).await;
        delivered.push(logged.expect("it in time").unwrap().row.seq);
    }
    assert_eq!(delivered, [1, 2, 3]);
    running.abort();
}
