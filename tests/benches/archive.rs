//! What the archive costs those who do not read it: a page of orders and the board's header, beside
//! few archived orders and beside many, in one run. The archived ones are written by SQL.

use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection, Executor, PgConnection, SqliteConnection};
use serde_json::json;

use super::{Server, Shop, closed_loop, percentile};

/// What is asked.
const ASKED: [(&str, &str); 3] = [
    (
        "orders",
        "{ orders(first: 50) { nodes { id number stage total { amount } lines { sku quantity } } } }",
    ),
    (
        "stageCounts",
        "{ stageCounts { stages { stage count oldestSince } } }",
    ),
    (
        "by number",
        "{ archivedOrders(where: { number: { eq: \"ARCHIVED-77\" } }) { nodes { number } } }",
    ),
];

/// How many orders are not archived, and how many at first and at last are.
fn sizes() -> (u64, u64, u64) {
    let size = |name: &str, usual| {
        let given = std::env::var(name).ok();
        given.and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    (
        size("OMS_BENCH_ORDERS", 500),
        size("OMS_BENCH_FEW", 10_000),
        size("OMS_BENCH_MANY", 1_000_000),
    )
}

/// Measures on SQLite, and on PostgreSQL where there is one.
pub async fn measure(span: Duration) {
    println!(
        "{:<9} {:>12} {:>10} {:>8} {:>10} {:>8} {:>7}",
        "back end", "what", "archived", "p50 ms", "archived", "p50 ms", "ratio"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    run(&format!("sqlite:{}", path.display()), span).await;
    if let Ok(url) = std::env::var("OMS_BENCH_POSTGRES") {
        run(&url, span).await;
    }
}

async fn run(url: &str, span: Duration) {
    let server = Server::start(url);
    let shop = Shop::open(&server).await;
    shop.switch_rules(false).await;
    let (orders, few, many) = sizes();
    for seed in 0..orders {
        shop.buy(super::fresh().wrapping_add(seed)).await;
    }
    archive(url, 0, few).await;
    let before = middles(&shop, span).await;
    archive(url, few, many).await;
    let after = middles(&shop, span).await;
    for (place, (what, _)) in ASKED.iter().enumerate() {
        println!(
            "{:<9} {what:>12} {few:>10} {:>8.2} {many:>10} {:>8.2} {:>7.2}",
            url.split(':').next().unwrap_or_default(),
            before[place],
            after[place],
            after[place] / before[place],
        );
    }
}

/// The middle latency of each question, one asked after another, in milliseconds.
async fn middles(shop: &Shop, span: Duration) -> Vec<f64> {
    let mut found = Vec::new();
    for (_, query) in ASKED {
        let until = Instant::now() + span / 5;
        while Instant::now() < until {
            shop.ask(query, json!({})).await;
        }
        let mut times = closed_loop(1, span, |_| shop.ask(query, json!({}))).await;
        found.push(percentile(&mut times, 0.5));
    }
    found
}

/// Writes archived orders, from one number up to another.
async fn archive(url: &str, from: u64, to: u64) {
    let columns = "INSERT INTO archived_order (id, number, channel_id, external_reference,
        fingerprint, customer_name, email, status, stage, payment_method, gateway, currency,
        total_minor, authorized_minor, captured_minor, refunded_minor, invoiced_minor,
        units_shipped, version, placed_at, received_at, closed_at, archived_at, snapshot_version,
        snapshot, sha256)";
    let row = "'ARCHIVED-' || n, (SELECT id FROM channel WHERE code = 'web'), 'old-' || n, '-',
        'Somebody', 'buyer' || n || '@mail.example', 'COMPLETED', 'COMPLETED', 'CARD', 'sandbox',
        'EUR', 1000, 1000, 1000, 0, 0, 1, 9";
    let snapshot = "x".repeat(2_000);
    let hash = "0".repeat(64);
    if url.starts_with("postgres") {
        let moment = "TIMESTAMPTZ '2026-01-01' + n * INTERVAL '1 second'";
        let sql = format!(
            "{columns} SELECT gen_random_uuid(), {row}, {moment}, {moment}, {moment}, {moment}, 1,
                '{snapshot}', '{hash}' FROM generate_series({from} + 1, {to}) n"
        );
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        connection
            .execute("VACUUM ANALYZE archived_order")
            .await
            .unwrap();
    } else {
        let moment = "strftime('%Y-%m-%dT%H:%M:%S+00:00', '2026-01-01', '+' || n || ' seconds')";
        let sql = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT {from} + 1 UNION ALL
                SELECT n + 1 FROM numbers WHERE n < {to})
            {columns} SELECT randomblob(16), {row}, {moment}, {moment}, {moment}, {moment}, 1,
                '{snapshot}', '{hash}' FROM numbers"
        );
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
}
