//! Several nodes on one PostgreSQL and one Redis, each a process of its own: what a subscriber gets
//! is the log, whatever happens to Redis, and whichever node it is on.
//!
//! `OMS_LONG=1` runs what is promised: 200 subscribers a node, 10,000 events, Redis away for ten
//! seconds at a time.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::catalogue;
use api::cli::{self, Cli};
use api::config::Config;
use api::db::Db;
use api::events::position;
use api::tx::{Actor, new_id};
use clap::Parser;
use entity::{VariantId, event_log};
use futures_util::future::join_all;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    TransactionTrait,
};
use serde_json::{Value, json};
use support::merchant::{SUBMIT, basket_with};
use support::redis::RedisServer;
use support::{Backend, Ended, Socket, TestApp, journey};
use tokio::sync::watch;

const FOLLOW: &str = "subscription F($after: String) {
    events(after: $after) { kind cursor seq event { id } } }";

/// How long a node may take to start, or to come to a state.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is done.
struct Size {
    subscribers: usize,
    orders: usize,
    outage: Duration,
}

/// How many orders are under way at once.
const SUBMITTERS: usize = 4;

fn size() -> Size {
    if std::env::var_os("OMS_LONG").is_some() {
        // An order makes four events.
        Size {
            subscribers: 600,
            orders: 2_500,
            outage: Duration::from_secs(10),
        }
    } else {
        Size {
            subscribers: 12,
            orders: 60,
            outage: Duration::ZERO,
        }
    }
}

/// `oms serve` in a process of its own.
struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    /// Starts this very program again, with nothing to do but to serve.
    fn start(app: &TestApp, redis: &str) -> Node {
        let config = &app.app.config;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "many_nodes::a_node_of_a_test", "--nocapture"])
            .env("OMS_TEST_NODE", "1")
            .env("OMS__DATABASE__URL", &config.database.url)
            .env("OMS__DATABASE__MAX_CONNECTIONS", "8")
            .env("OMS__REDIS__URL", redis)
            .env("OMS__SERVER__LISTEN", "127.0.0.1:0")
            .env("OMS__SERVER__THREADS", "1")
            .env("OMS__ACCESS__PEPPER", &config.access.pepper)
            .env("OMS__ACCESS__ENVIRONMENT", &config.access.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, rest) = line.split_once("GraphQL API: http://")?;
                rest.split('/').next()?.parse().ok()
            })
            .expect("a node that serves");
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Node { child, address }
    }

    /// Kills it, as a fault would.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// No test of its own: what [`Node::start`] runs.
#[test]
fn a_node_of_a_test() {
    if std::env::var_os("OMS_TEST_NODE").is_none() {
        return;
    }
    let config = Config::load().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(cli::run(Cli::parse_from(["oms", "serve"]), config));
    served.unwrap();
}

/// The nodes that answer.
type Alive = Arc<Mutex<Vec<SocketAddr>>>;

fn some_node(alive: &Alive, wanted: usize) -> SocketAddr {
    let alive = alive.lock().unwrap();
    alive[wanted % alive.len()]
}

/// Follows the log from now to a position that is told later, from node to node if need be.
/// Returns where it began, what it got, and how often it had to go on elsewhere.
async fn follow(
    app: &TestApp,
    alive: &Alive,
    which: usize,
    begun: watch::Sender<bool>,
    mut target: watch::Receiver<Option<i64>>,
) -> (i64, Vec<(i64, String)>, usize) {
    let mut cursor = Value::Null;
    let mut from = None;
    let mut got: Vec<(i64, String)> = Vec::new();
    let mut moves = 0;
    loop {
        let mut socket = Socket::connect(some_node(alive, which + moves), &app.admin_key).await;
        let id = socket.subscribe(FOLLOW, json!({ "after": cursor })).await;
        loop {
            let reached = got.last().map(|last| last.0).or(from);
            if target
                .borrow()
                .is_some_and(|target| reached >= Some(target))
            {
                return (from.unwrap(), got, moves);
            }
            let item = tokio::select! {
                item = socket.event(&id) => item,
                _ = target.changed() => continue,
            };
            let item = match item {
                Ok(payload) => {
                    assert!(payload.get("errors").is_none(), "{payload}");
                    payload["data"]["events"].clone()
                }
                Err(Ended::Closed(..)) => break,
                Err(ended) => panic!("{ended:?}"),
            };
            let seq = item["seq"].as_i64().unwrap();
            cursor = item["cursor"].clone();
            match item["kind"].as_str() {
                Some("EVENT") => {
                    let event = item["event"]["id"].as_str().unwrap();
                    got.push((seq, event.to_owned()));
                }
                Some("HEARTBEAT") => {
                    from.get_or_insert(seq);
                    let _ = begun.send(true);
                }
                other => panic!("{other:?}"),
            }
        }
        moves += 1;
    }
}

/// What `/readyz` of a node says.
async fn readiness(address: SocketAddr) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}/readyz")).await;
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    (status, body["status"].as_str().unwrap().to_owned())
}

/// Waits until every node says that it is so; they take requests all the while.
async fn all_say(alive: &Alive, wanted: &str) {
    let said = async {
        let nodes = alive.lock().unwrap().clone();
        for node in nodes {
            loop {
                let (status, said) = readiness(node).await;
                assert_eq!(status, 200);
                if said == wanted {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, said)
        .await
        .unwrap_or_else(|_| panic!("a node is not {wanted}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_gets_the_log_while_redis_comes_and_goes_and_a_node_dies() {
    let Some(mut redis) = RedisServer::start().await else {
        return;
    };
    journey(Backend::Postgres, async |app| {
        let size = size();
        // The nodes have a clock of their own.
        app.clock.set(chrono::Utc::now());
        app.open_shop().await;
        app.stocked("MANY", 1_000_000, true).await;
        app.settle().await;
        let mut nodes: Vec<Node> = (0..3).map(|_| Node::start(app, &redis.url())).collect();
        let alive: Alive = Arc::new(Mutex::new(nodes.iter().map(|node| node.address).collect()));
        all_say(&alive, "ready").await;

        let (aimed, target) = watch::channel(None);
        let listeners: Vec<_> = (0..size.subscribers)
            .map(|_| watch::channel(false))
            .collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
        let following = senders
            .into_iter()
            .enumerate()
            .map(|(which, begun)| follow(app, &alive, which, begun, target.clone()));
        let following = join_all(following);

        let done = AtomicUsize::new(0);
        let next = AtomicUsize::new(0);
        let client = support::http();
        let submit = async || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= size.orders {
                    return;
                }
                let input = basket_with(json!({
                    "lines": [{ "sku": "MANY", "quantity": 1 }],
                    "externalReference": format!("MANY-{number}"),
                }));
                let body = json!({ "query": SUBMIT, "variables": { "input": input } });
                // A node that dies takes its answer with it; the reference makes asking another
                // one safe.
                for tried in 0.. {
                    let node = some_node(&alive, number + tried);
                    let sent = client
                        .post(format!("http://{node}/graphql"))
                        .bearer_auth(&app.admin_key)
                        .json(&body)
                        .send();
                    let Ok(answer) = sent.await else { continue };
                    let answer: Value = answer.json().await.unwrap();
                    if answer["data"]["orderSubmit"]["order"]["id"].is_string() {
                        break;
                    }
                    assert!(tried < 20, "{answer:#}");
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let submitting = async {
            for mut receiver in receivers {
                receiver.wait_for(|begun| *begun).await.unwrap();
            }
            join_all((0..SUBMITTERS).map(|_| submit())).await;
        };
        // So many sixths of the orders are in.
        let sixths = async |wanted: usize| {
            while done.load(Ordering::Relaxed) < size.orders * wanted / 6 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let disturbing = async {
            for outage in [1, 3, 5] {
                sixths(outage).await;
                // The last time it is there and does not answer.
                match outage {
                    5 => redis.freeze(true),
                    _ => redis.kill(),
                }
                all_say(&alive, "degraded").await;
                tokio::time::sleep(size.outage).await;
                sixths(outage + 1).await;
                match outage {
                    5 => redis.freeze(false),
                    _ => assert!(redis.up().await),
                }
                all_say(&alive, "ready").await;
                if outage == 1 {
                    let dead = alive.lock().unwrap().remove(0);
                    assert_eq!(dead, nodes[0].address);
                    nodes[0].kill();
                }
            }
        };
        let driving = async {
            tokio::join!(submitting, disturbing);
            app.settle().await;
            let last = position(&app.app.db.read).await.unwrap().last_seq;
            aimed.send(Some(last)).unwrap();
            last
        };
        let (followed, last) = tokio::join!(following, driving);

        let rows = event_log::Entity::find()
            .filter(event_log::Column::Seq.lte(last))
            .order_by_asc(event_log::Column::Seq)
            .all(&app.app.db.read)
            .await
            .unwrap();
        let log: Vec<(i64, String)> = rows
            .iter()
            .map(|row| (row.seq, api::graphql::ids::to_global(row.id).to_string()))
            .collect();
        let mut moved = 0;
        for (from, mut got, moves) in followed {
            got.retain(|(seq, _)| *seq <= last);
            let expected: Vec<_> = log.iter().filter(|(seq, _)| *seq > from).cloned().collect();
            // The node that died may have left as many of its orders unpaid as were under way; they
            // are due again when nobody waits for them here.
            assert!(expected.len() >= (size.orders - SUBMITTERS) * 4);
            assert!(got == expected, "not the log: {got:?} is not {expected:?}");
            moved += moves;
        }
        // Those of the node that died, and nobody else.
        assert_eq!(moved, size.subscribers / 3);
        drop(nodes);
        app.settle().await;
    })
    .await;
}

/// Many who follow the same join groups and leave them, and go on elsewhere, at any time: for each,
/// what it was told is the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_from_node_to_node_while_orders_flow_hears_each_change_once() {
    const UPDATES: &str = "subscription U($after: String) {
        orderUpdates(after: $after) { kind seq cursor order { id stage } } }";
    let Some(redis) = RedisServer::start().await else {
        return;
    };
    journey(Backend::Postgres, async |app| {
        let (followers, visits) = match std::env::var_os("OMS_LONG") {
            Some(_) => (40_usize, 50_usize),
            None => (8, 6),
        };
        app.clock.set(chrono::Utc::now());
        app.open_shop().await;
        app.stocked("MANY", 1_000_000, true).await;
        app.settle().await;
        let nodes: Vec<Node> = (0..3).map(|_| Node::start(app, &redis.url())).collect();
        let alive: Alive = Arc::new(Mutex::new(nodes.iter().map(|node| node.address).collect()));
        all_say(&alive, "ready").await;

        let over = AtomicBool::new(false);
        let client = support::http();
        let ordering = async {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                let input = basket_with(json!({ "lines": [{ "sku": "MANY", "quantity": 1 }] }));
                let sent = client
                    .post(format!("http://{}/graphql", some_node(&alive, number)))
                    .bearer_auth(&app.admin_key)
                    .json(&json!({ "query": SUBMIT, "variables": { "input": input } }))
                    .send();
                let answer: Value = sent.await.unwrap().json().await.unwrap();
                assert!(answer["data"]["orderSubmit"]["order"]["id"].is_string());
                number += 1;
            }
        };
        let alive = &alive;
        let going = (0..followers).map(async |follower| {
            let (mut cursor, mut began, mut told) = (Value::Null, None, Vec::new());
            for visit in 0..visits {
                let node = some_node(alive, follower * 5 + visit * 7 + visit / 3);
                let mut socket = Socket::connect(node, &app.admin_key).await;
                let id = socket.subscribe(UPDATES, json!({ "after": cursor })).await;
                // Some stay for a moment, some for long.
                let enough = told.len() + 1 + (follower * 11 + visit * 17) % 31;
                while told.len() < enough {
                    let item = socket.next(&id).await["orderUpdates"].take();
                    match item["kind"].as_str().unwrap() {
                        "SNAPSHOT" => assert_eq!(began, None),
                        "SNAPSHOT_END" => began = item["seq"].as_i64(),
                        "UPSERT" => told.push(item["seq"].as_i64().unwrap()),
                        "HEARTBEAT" => {}
                        other => panic!("{other}: {item}"),
                    }
                    cursor = item["cursor"].clone();
                }
                socket.close().await;
            }
            (began.unwrap(), told)
        });
        let going = async {
            let told = join_all(going).await;
            over.store(true, Ordering::Relaxed);
            told
        };
        let ((), followed) = tokio::join!(ordering, going);
        let log: Vec<i64> = event_log::Entity::find()
            .select_only()
            .column(event_log::Column::Seq)
            .filter(event_log::Column::AggregateType.eq("order"))
            .order_by_asc(event_log::Column::Seq)
            .into_tuple()
            .all(&app.app.db.read)
            .await
            .unwrap();
        for (began, told) in followed {
            let behind = log.partition_point(|seq| *seq <= began);
            assert_eq!(told, log[behind..][..told.len()], "not the log");
        }
        drop(nodes);
        app.settle().await;
    })
    .await;
}

/// A node that stops in the middle of stamping holds the one lock; the database cuts it off, and
/// another node goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_freezes_while_it_stamps_is_cut_off() {
    journey(Backend::Postgres, async |app| {
        app.settle().await;
        let node = Db::connect(&app.app.config.database).await.unwrap();
        let frozen = node.write.begin().await.unwrap();
        let sql = "SELECT last_seq FROM sequencer WHERE id = 1 FOR UPDATE";
        let lock = Statement::from_string(node.backend, sql);
        frozen.query_one_raw(lock).await.unwrap();
        let actor = Actor::worker("test");
        let written = app.app.write(&actor, |tx| async move {
            catalogue::changed(&tx, "variant", new_id::<VariantId>(), 1, "X");
            Ok(())
        });
        written.await.unwrap();
        let stamped = async {
            loop {
                // Who waits for the lock does not wait long, and tries again.
                if let Ok(stamped @ 1..) = app.app.hub.turn().await {
                    return stamped;
                }
            }
        };
        let stamped = tokio::time::timeout(PATIENCE, stamped).await;
        assert_eq!(stamped.expect("the lock in time"), 1);
        assert!(frozen.commit().await.is_err());
        let _ = node.close().await;
    })
    .await;
}
