//! Databases on the PostgreSQL server that `OMS_TEST_POSTGRES_URL` names.
//!
//! The schema is migrated once per test binary, into a template; each test then gets a copy,
//! which takes milliseconds. What a killed run leaves behind, a later one removes.

use std::fmt::Write;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use api::config::{Config, DatabaseConfig};
use api::db::Db;
use reqwest::Url;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::sync::OnceCell;

/// What the names of our databases begin with; the seconds since 1970 follow.
const PREFIX: &str = "oms_test_";

/// After how long a database is taken for forgotten, in seconds.
const FORGOTTEN: u64 = 24 * 60 * 60;

/// The server, or nothing when tests on PostgreSQL are to be skipped, which is said on the
/// terminal. With `OMS_REQUIRE_POSTGRES=1` a missing server is a failure.
pub fn server() -> Option<String> {
    if let Ok(url) = std::env::var("OMS_TEST_POSTGRES_URL")
        && !url.is_empty()
    {
        return Some(url);
    }
    assert!(
        std::env::var("OMS_REQUIRE_POSTGRES").as_deref() != Ok("1"),
        "OMS_REQUIRE_POSTGRES=1, but OMS_TEST_POSTGRES_URL names no server"
    );
    skipped();
    None
}

/// Says so past the test runner, which swallows what a passing test prints.
fn skipped() {
    use std::io::Write as _;
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "skipped: no PostgreSQL ({name})");
}

/// A migrated database of its own.
pub async fn migrated(server: &str) -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE
        .get_or_init(|| async {
            sweep(server).await;
            let url = empty(server).await;
            let db = Db::connect(&config(&url)).await.expect("the template");
            db.migrate().await.expect("its schema");
            // A database that somebody is connected to cannot be copied.
            db.close().await.expect("the template closed");
            name_of(&url)
        })
        .await;
    create(server, Some(template)).await
}

/// A database of its own without a schema.
pub async fn empty(server: &str) -> String {
    create(server, None).await
}

/// Removes a database, whoever is still connected to it. Done as well as can be: that it fails
/// must not hide why a test failed.
pub async fn remove(server: &str, url: &str) {
    let name = name_of(url);
    let connection = connect(server).await;
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    if let Err(error) = connection.execute_unprepared(&sql).await {
        eprintln!("{name} was left behind: {error}");
    }
    let _ = connection.close().await;
}

/// A plain connection that the app knows nothing of.
pub async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options)
        .await
        .unwrap_or_else(|error| panic!("PostgreSQL at {url}: {error}"))
}

async fn create(server: &str, template: Option<&str>) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let seconds = seconds();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{PREFIX}{seconds}_{}_{next}", process::id());
    let mut sql = format!("CREATE DATABASE {name}");
    if let Some(template) = template {
        let _ = write!(sql, " TEMPLATE {template}");
    }
    let connection = connect(server).await;
    let made = connection.execute_unprepared(&sql).await;
    made.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let _ = connection.close().await;
    let mut url = Url::parse(server).expect("OMS_TEST_POSTGRES_URL is a URL");
    url.set_path(&name);
    url.into()
}

/// Removes what runs that were killed have left.
async fn sweep(server: &str) {
    let connection = connect(server).await;
    let rows = connection
        .query_all_raw(Statement::from_string(
            connection.get_database_backend(),
            format!("SELECT datname::text AS name FROM pg_database WHERE datname LIKE '{PREFIX}%'"),
        ))
        .await
        .expect("the names of the databases");
    for row in rows {
        let name: String = row.try_get("", "name").expect("a name");
        let made = name[PREFIX.len()..].split('_').next();
        let made = made.and_then(|made| made.parse::<u64>().ok());
        if made.is_some_and(|made| made + FORGOTTEN < seconds()) {
            let sql = format!("DROP DATABASE IF EXISTS {name}");
            let _ = connection.execute_unprepared(&sql).await;
        }
    }
    let _ = connection.close().await;
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a machine after 1970")
        .as_secs()
}

fn name_of(url: &str) -> String {
    let url = Url::parse(url).expect("a URL of ours");
    url.path().trim_start_matches('/').to_owned()
}

fn config(url: &str) -> DatabaseConfig {
    Config::from_vars([("OMS__DATABASE__URL".to_owned(), url.to_owned())])
        .expect("the settings")
        .database
}
