//! How fast orders are taken: `orderSubmit` of three lines over HTTP, every check on, beside the
//! least SQL that the same order must cost, in one run. With the word `fanout`: how fast an event
//! comes to a thousand subscribers, beside a bare broadcast; with `scans`: how long a scanner
//! waits; with `documents`: what printing costs; with `archive`: what a million archived orders cost
//! those who do not read them. See docs/benchmarks.md.
//!
//! ```sh
//! cargo build --release
//! OMS_BENCH_POSTGRES=postgres://… cargo run --release -p benches
//! cargo run --release -p benches -- fanout
//! cargo run --release -p benches -- scans
//! cargo run --release -p benches -- documents
//! cargo run --release -p benches -- archive
//! ```
//!
//! `OMS_BENCH_SECONDS` is the length of each measurement, 5 if not given. Without
//! `OMS_BENCH_POSTGRES`, an empty database of a superuser, only SQLite is measured.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement asks the machine for the time, and fails where it cannot measure"
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection, Executor, PgConnection, Row, SqliteConnection};
use serde_json::{Value, json};

mod archive;
mod documents;
mod fanout;
mod scans;

const CLIENTS: [usize; 3] = [1, 8, 32];
const SKUS: usize = 40;

fn main() {
    let word = std::env::args().nth(1);
    if word.as_deref() == Some("floor") {
        return fanout::floor::serve();
    }
    let seconds: u64 = std::env::var("OMS_BENCH_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    let span = Duration::from_secs(seconds);
    println!(
        "{} cores, {seconds} s a figure",
        std::thread::available_parallelism().unwrap()
    );
    if word.as_deref() == Some("documents") {
        return documents::measure(span);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match word.as_deref() {
            Some("archive") => archive::measure(span).await,
            Some("fanout") => fanout::measure(span).await,
            Some("scans") => scans::measure(span).await,
            _ => measure(span).await,
        }
    });
}

async fn measure(span: Duration) {
    println!(
        "{:<9} {:>7} {:>9} {:>8} {:>8} {:>9} {:>9} {:>10} {:>9} {:>8} {:>7}",
        "back end",
        "clients",
        "orders/s",
        "p50 ms",
        "p99 ms",
        "our CPU",
        "PG CPU",
        "statements",
        "floor/s",
        "p99 ms",
        "ratio"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    run(&format!("sqlite:{}", path.display()), span).await;
    if let Ok(url) = std::env::var("OMS_BENCH_POSTGRES") {
        run(&url, span).await;
    }
}

async fn run(url: &str, span: Duration) {
    let postgres = url.starts_with("postgres");
    let server = Server::start(url);
    let shop = Shop::open(&server).await;
    // The demo's rules would stop a customer who orders a hundred times a second.
    shop.switch_rules(false).await;
    let mut floor = Floor::open(url).await;
    for clients in CLIENTS {
        let before = (cpu_of(server.pid()), postmaster(url).await.map(tree_cpu));
        let calls = statements(url).await;
        let mut taken = closed_loop(clients, span, |seed| shop.buy(seed)).await;
        let orders = taken.len() as f64;
        let after = (cpu_of(server.pid()), postmaster(url).await.map(tree_cpu));
        let per_order = |ms: f64| ms / orders;
        let statements = match (calls, statements(url).await) {
            (Some(before), Some(after)) => format!("{:.1}", (after - before) as f64 / orders),
            _ => "-".to_owned(),
        };
        let pg_cpu = match (before.1, after.1) {
            (Some(before), Some(after)) => format!("{:.2}", per_order(after - before)),
            _ => "-".to_owned(),
        };
        let mut least = floor.run(clients, span).await;
        let (rate, floor_rate) = (
            orders / span.as_secs_f64(),
            least.len() as f64 / span.as_secs_f64(),
        );
        println!(
            "{:<9} {:>7} {:>9.0} {:>8.1} {:>8.1} {:>9.2} {:>9} {:>10} {:>9.0} {:>8.1} {:>6.0}%",
            if postgres { "postgres" } else { "sqlite" },
            clients,
            rate,
            percentile(&mut taken, 0.5),
            percentile(&mut taken, 0.99),
            per_order(after.0 - before.0),
            pg_cpu,
            statements,
            floor_rate,
            percentile(&mut least, 0.99),
            100.0 * rate / floor_rate,
        );
    }
    with_rules(&shop, postgres, span).await;
}

/// Orders that four rules judge, one of which asks what the customer ordered before, beside orders
/// without a rule, in turn, while an order that all four found waits.
async fn with_rules(shop: &Shop, postgres: bool, span: Duration) {
    const TURNS: u32 = 5;
    const CLIENTS: usize = 8;
    for (code, expression) in [
        ("bench-large", "order.total >= 1000"),
        ("bench-many", "lines.exists(line, line.quantity >= 100)"),
        (
            "bench-units",
            "order.unitCount >= 100 && order.channel == 'web'",
        ),
        (
            "bench-busy",
            "customer.ordersLastHour >= 0 && order.lineCount == 1",
        ),
    ] {
        shop.rule(code, expression).await;
    }
    let flagged = shop.submit(&[0], 100, 0x1234_5678).await;
    assert_eq!(flagged["stage"], "ON_HOLD", "{flagged}");
    assert_eq!(flagged["exceptions"].as_array().unwrap().len(), 4);
    let (mut with, mut without) = (0, 0);
    for _ in 0..TURNS {
        shop.switch_rules(false).await;
        without += closed_loop(CLIENTS, span / TURNS, |seed| shop.buy(seed))
            .await
            .len();
        shop.switch_rules(true).await;
        with += closed_loop(CLIENTS, span / TURNS, |seed| shop.buy(seed))
            .await
            .len();
    }
    let rate = |orders: usize| orders as f64 / span.as_secs_f64();
    println!(
        "{:<9} {CLIENTS:>7} {:>9.0} orders/s with four rules, {:.0} without one, in {TURNS} turns: {:.0}%",
        if postgres { "postgres" } else { "sqlite" },
        rate(with),
        rate(without),
        100.0 * rate(with) / rate(without),
    );
}

/// The latencies, in milliseconds, of what many clients did one after another for a while.
async fn closed_loop<F>(clients: usize, span: Duration, once: impl Fn(u64) -> F) -> Vec<f64>
where
    F: Future,
{
    let end = Instant::now() + span;
    let once = &once;
    let loops = (0..clients).map(|_| async move {
        let mut latencies = Vec::new();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(fresh());
        while Instant::now() < end {
            seed = next(seed);
            let began = Instant::now();
            drop(once(seed).await);
            latencies.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        latencies
    });
    futures_util::future::join_all(loops).await.concat()
}

/// A number that was not drawn before: whatever begins with it repeats nothing of this run.
fn fresh() -> u64 {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    DRAWN.fetch_add(2, Ordering::Relaxed)
}

fn next(mut seed: u64) -> u64 {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    seed
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 - 1.0) * share).max(0.0) as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// The program under measurement, as a process of its own; ended with this one.
struct Server {
    child: Child,
    address: String,
    key: String,
}

impl Server {
    fn start(url: &str) -> Server {
        let program = program();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let command = |word: &str| {
            let mut command = Command::new(&program);
            command
                .arg(word)
                .env("OMS__DATABASE__URL", url)
                .env("OMS__SERVER__LISTEN", format!("127.0.0.1:{port}"))
                .env("OMS__LOG__FILTER", "error");
            command
        };
        assert!(
            command("seed")
                .stdout(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
        let mut child = command("serve").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |what: &str| {
            let mut lines = lines.by_ref().map(|line| line.unwrap());
            lines.find(|line| line.starts_with(what)).unwrap()
        };
        let (address, key) = (said("GraphQL API"), said("Administrator key"));
        Server {
            child,
            address: address.rsplit(' ').next().unwrap().to_owned(),
            key: key.rsplit(' ').next().unwrap().to_owned(),
        }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The release build of `oms`, or the one that `OMS_BENCH_PROGRAM` names.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("OMS_BENCH_PROGRAM") {
        return program.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let program = target.join("release/oms");
    assert!(program.exists(), "build it first: cargo build --release");
    program
}

/// The demo merchant with stock for every order of a run.
struct Shop {
    http: reqwest::Client,
    address: String,
    key: String,
    skus: Vec<String>,
}

impl Shop {
    async fn open(server: &Server) -> Shop {
        let mut shop = Shop {
            http: api::tls::plain().build().unwrap(),
            address: server.address.clone(),
            key: server.key.clone(),
            skus: Vec::new(),
        };
        let found = shop
            .ask("{ variants(first: 60) { nodes { id sku } } warehouses(first: 1) { nodes { id } } }", json!({}))
            .await;
        let warehouse = &found["warehouses"]["nodes"][0]["id"];
        for variant in found["variants"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .take(SKUS)
        {
            let receive = "mutation R($input: StockReceiveInput!) {
                stockReceive(input: $input) { userErrors { code message } } }";
            let sku = variant["sku"].as_str().unwrap();
            let input = json!({ "variantId": variant["id"], "warehouseId": warehouse,
                "quantity": 100_000_000, "idempotencyKey": format!("bench-{sku}") });
            let done = shop.ask(receive, json!({ "input": input })).await;
            assert_eq!(done["stockReceive"]["userErrors"], json!([]), "{done}");
            shop.skus.push(sku.to_owned());
        }
        shop
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer: Value = self
            .http
            .post(&self.address)
            .bearer_auth(&self.key)
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    async fn buy(&self, seed: u64) -> Value {
        let first = seed as usize % SKUS;
        let order = self
            .submit(&[first, first + 13, first + 27], 1, next(seed))
            .await;
        assert_eq!(order["status"], "CONFIRMED", "{order}");
        order["id"].clone()
    }

    /// Submits an order of these of our variants, so many units of each.
    async fn submit(&self, of: &[usize], quantity: u32, seed: u64) -> Value {
        let submit = "mutation S($input: OrderSubmitInput!) { orderSubmit(input: $input) {
            order { id number status stage exceptions { code } } userErrors { code message } } }";
        let lines: Vec<Value> = of
            .iter()
            .map(|place| json!({ "sku": self.skus[place % SKUS], "quantity": quantity }))
            .collect();
        let input = json!({
            "channel": "web",
            "customer": { "code": "C-1001" },
            "shippingAddress": { "line1": "Ring 1", "city": "Wien", "postalCode": "1010", "country": "AT" },
            "lines": lines,
            "payment": { "method": "CARD", "token": "tok_approve" },
            "idempotencyKey": format!("{seed:x}-{:x}", std::process::id()),
        });
        let mut done = self.ask(submit, json!({ "input": input })).await;
        assert_eq!(done["orderSubmit"]["userErrors"], json!([]));
        done["orderSubmit"]["order"].take()
    }

    async fn rule(&self, code: &str, expression: &str) {
        let create = "mutation R($input: ExceptionRuleCreateInput!) {
            exceptionRuleCreate(input: $input) { userErrors { code message } } }";
        let input = json!({ "code": code, "name": code, "expression": expression,
            "severity": "HIGH", "queue": "bench" });
        let done = self.ask(create, json!({ "input": input })).await;
        assert_eq!(
            done["exceptionRuleCreate"]["userErrors"],
            json!([]),
            "{done}"
        );
    }

    /// Enables the rules of this measurement, or disables all there are.
    async fn switch_rules(&self, enabled: bool) {
        let update = "mutation R($input: ExceptionRuleUpdateInput!) {
            exceptionRuleUpdate(input: $input) { userErrors { code message } } }";
        let all = self
            .ask(
                "{ exceptionRules(first: 100) { nodes { id code } } }",
                json!({}),
            )
            .await;
        for rule in all["exceptionRules"]["nodes"].as_array().unwrap() {
            if !enabled || rule["code"].as_str().unwrap().starts_with("bench-") {
                let input = json!({ "id": rule["id"], "enabled": enabled });
                let done = self.ask(update, json!({ "input": input })).await;
                assert_eq!(
                    done["exceptionRuleUpdate"]["userErrors"],
                    json!([]),
                    "{done}"
                );
            }
        }
    }
}

/// The least that such an order must write: a statement a table, in one transaction.
enum Floor {
    Postgres(String),
    Sqlite(Box<SqliteConnection>),
}

const TABLES: &str = "
    CREATE TABLE floor_stock (id BIGINT PRIMARY KEY, on_hand BIGINT NOT NULL, reserved BIGINT NOT NULL CHECK (reserved <= on_hand));
    CREATE TABLE floor_order (id BIGINT PRIMARY KEY, number TEXT NOT NULL UNIQUE, customer BIGINT NOT NULL, status TEXT NOT NULL, total BIGINT NOT NULL, address TEXT NOT NULL);
    CREATE TABLE floor_line (order_id BIGINT NOT NULL REFERENCES floor_order(id), stock_id BIGINT NOT NULL, quantity BIGINT NOT NULL, price BIGINT NOT NULL);
    CREATE INDEX floor_line_order ON floor_line(order_id);
    CREATE TABLE floor_reservation (order_id BIGINT NOT NULL REFERENCES floor_order(id), stock_id BIGINT NOT NULL, quantity BIGINT NOT NULL);
    CREATE INDEX floor_reservation_order ON floor_reservation(order_id);
    CREATE TABLE floor_payment (order_id BIGINT NOT NULL REFERENCES floor_order(id), amount BIGINT NOT NULL, status TEXT NOT NULL);
    CREATE INDEX floor_payment_order ON floor_payment(order_id);
    CREATE TABLE floor_event (order_id BIGINT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL);";

const EVENT: &str = "an event of about three hundred bytes stands here as the real one would, with \
    the order number, the customer, the old and the new status, the total, the currency, the time \
    of the change, who made it and the request that it came from, so that the log of the least has \
    rows of a size that the log of the whole has as well, give or take a few";

impl Floor {
    async fn open(url: &str) -> Floor {
        let stock: Vec<String> = (0..SKUS).map(|n| format!("({n}, 1000000000, 0)")).collect();
        let fill = format!("INSERT INTO floor_stock VALUES {}", stock.join(", "));
        if url.starts_with("postgres") {
            let mut connection = PgConnection::connect(url).await.unwrap();
            for statement in TABLES.split(';').filter(|text| !text.trim().is_empty()) {
                connection
                    .execute(sqlx::AssertSqlSafe(statement))
                    .await
                    .unwrap();
            }
            connection.execute(sqlx::AssertSqlSafe(fill)).await.unwrap();
            return Floor::Postgres(url.to_owned());
        }
        let path = url.trim_start_matches("sqlite:");
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(format!("{path}.floor"))
            .create_if_missing(true)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection.execute(TABLES).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(fill)).await.unwrap();
        Floor::Sqlite(Box::new(connection))
    }

    async fn run(&mut self, clients: usize, span: Duration) -> Vec<f64> {
        match self {
            Floor::Postgres(url) => {
                let url = url.as_str();
                let loops = (0..clients).map(|_| async move {
                    let mut connection = PgConnection::connect(url).await.unwrap();
                    let mut latencies = Vec::new();
                    let mut seed = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(fresh());
                    let end = Instant::now() + span;
                    while Instant::now() < end {
                        seed = next(seed);
                        let began = Instant::now();
                        least_postgres(&mut connection, seed).await;
                        latencies.push(began.elapsed().as_secs_f64() * 1_000.0);
                    }
                    latencies
                });
                futures_util::future::join_all(loops).await.concat()
            }
            Floor::Sqlite(connection) => {
                // One process has one writer, so more clients do not make it faster.
                let mut latencies = Vec::new();
                let mut seed = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(fresh());
                let end = Instant::now() + span;
                while Instant::now() < end {
                    seed = next(seed);
                    let began = Instant::now();
                    least_sqlite(connection, seed).await;
                    latencies.push(began.elapsed().as_secs_f64() * 1_000.0);
                }
                latencies
            }
        }
    }
}

macro_rules! least {
    ($name:ident, $connection:ty, $begin:literal, $lock:literal) => {
        async fn $name(connection: &mut $connection, seed: u64) {
            let id = (seed >> 1) as i64;
            let mut wanted =
                [0, 13, 27].map(|step| ((seed as usize % SKUS + step) % SKUS) as i64);
            wanted.sort();
            let [a, b, c] = wanted;
            connection.execute($begin).await.unwrap();
            sqlx::query("INSERT INTO floor_order VALUES ($1, $2, $3, 'PLACED', 4400, $4)")
                .bind(id).bind(format!("O{id}")).bind(1_i64)
                .bind("{\"line1\":\"Ring 1\",\"city\":\"Wien\",\"postcode\":\"1010\",\"country\":\"AT\"}")
                .execute(&mut *connection).await.unwrap();
            sqlx::query($lock).bind(a).bind(b).bind(c).execute(&mut *connection).await.unwrap();
            sqlx::query("INSERT INTO floor_line VALUES ($1, $2, 1, 1000), ($1, $3, 1, 1100), ($1, $4, 1, 1200)")
                .bind(id).bind(a).bind(b).bind(c).execute(&mut *connection).await.unwrap();
            sqlx::query("INSERT INTO floor_reservation VALUES ($1, $2, 1), ($1, $3, 1), ($1, $4, 1)")
                .bind(id).bind(a).bind(b).bind(c).execute(&mut *connection).await.unwrap();
            sqlx::query("INSERT INTO floor_payment VALUES ($1, 4400, 'AUTHORIZED')")
                .bind(id).execute(&mut *connection).await.unwrap();
            sqlx::query("INSERT INTO floor_event VALUES ($1, 'order.placed', $2)")
                .bind(id).bind(EVENT).execute(&mut *connection).await.unwrap();
            connection.execute("COMMIT").await.unwrap();
        }
    };
}

least!(
    least_postgres,
    PgConnection,
    "BEGIN",
    "WITH l AS MATERIALIZED (SELECT id FROM floor_stock WHERE id IN ($1, $2, $3) ORDER BY id FOR UPDATE)
     UPDATE floor_stock s SET reserved = s.reserved + 1 FROM l WHERE s.id = l.id AND s.on_hand > s.reserved"
);
least!(
    least_sqlite,
    SqliteConnection,
    "BEGIN IMMEDIATE",
    "UPDATE floor_stock SET reserved = reserved + 1 WHERE id IN ($1, $2, $3) AND on_hand > reserved"
);

/// The CPU time of a process, in milliseconds.
fn cpu_of(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0.0;
    };
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    // utime, stime, and those of children that have ended; in hundredths of a second.
    fields[11..15]
        .iter()
        .map(|field| field.parse::<f64>().unwrap_or(0.0) * 10.0)
        .sum()
}

/// The CPU time of a process and its children, in milliseconds.
fn tree_cpu(root: u32) -> f64 {
    let children = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent: u32 = stat[stat.rfind(')')? + 2..]
                .split(' ')
                .nth(1)?
                .parse()
                .ok()?;
            (parent == root).then_some(pid)
        });
    cpu_of(root) + children.map(cpu_of).sum::<f64>()
}

/// PostgreSQL's own process, if it runs on this machine.
async fn postmaster(url: &str) -> Option<u32> {
    if !url.starts_with("postgres") {
        return None;
    }
    let mut connection = PgConnection::connect(url).await.ok()?;
    let row = connection.fetch_one("SELECT pg_backend_pid()").await.ok()?;
    let pid: i32 = row.get(0);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].split(' ').nth(1)?.parse().ok()
}

/// How many statements the database has run, if it counts them.
async fn statements(url: &str) -> Option<i64> {
    if !url.starts_with("postgres") {
        return None;
    }
    let mut connection = PgConnection::connect(url).await.ok()?;
    connection
        .execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .await
        .ok()?;
    let row = connection
        .fetch_one(
            "SELECT COALESCE(SUM(calls), 0)::bigint FROM pg_stat_statements
             WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
        .ok()?;
    Some(row.get(0))
}
