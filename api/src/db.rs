//! The database: which one, how it is connected, how it is migrated.
//!
//! The URL chooses the back end. On SQLite there is one writer connection, whose transactions
//! begin IMMEDIATE, and a pool of readers that cannot write; on PostgreSQL there are two pools.

use std::str::FromStr;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::sqlx::{self, Connection, Executor};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, SqlxSqliteConnector};

use crate::config::DatabaseConfig;

/// The key of the advisory lock that one migrating process holds: "oms" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f6d73;

/// A connected database.
#[derive(Clone)]
pub struct Db {
    /// For transactions that write.
    pub write: DatabaseConnection,
    /// For everything else.
    pub read: DatabaseConnection,
    /// Which one it is.
    pub backend: DbBackend,
    url: String,
}

impl Db {
    /// Connects without migrating. An SQLite file that does not exist is made.
    pub async fn connect(config: &DatabaseConfig) -> Result<Db, DbErr> {
        if config.url.starts_with("sqlite:") {
            connect_sqlite(config).await
        } else {
            connect_postgres(config).await
        }
    }

    /// Brings the schema up to date. Several processes may do so at once: one works, the others
    /// wait for it and find nothing left to do.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        match self.backend {
            DbBackend::Postgres => {
                let mut fence = sqlx::PgConnection::connect(&self.url)
                    .await
                    .map_err(connection)?;
                sqlx::query("SELECT pg_advisory_lock($1)")
                    .bind(MIGRATION_LOCK)
                    .execute(&mut fence)
                    .await
                    .map_err(connection)?;
                let outcome = Migrator::up(&self.write, None).await;
                // Closing the connection lets the lock go.
                fence.close().await.map_err(connection)?;
                outcome
            }
            _ => {
                let fence = fence(&self.url).await?;
                let outcome = Migrator::up(&self.write, None).await;
                drop(fence);
                outcome
            }
        }
    }

    /// The pools by name, with how many of their connections are idle and in use.
    pub fn connections(&self) -> [(&'static str, u32, u32); 2] {
        [("write", &self.write), ("read", &self.read)].map(|(name, pool)| {
            let (size, idle) = match self.backend {
                DbBackend::Postgres => {
                    let pool = pool.get_postgres_connection_pool();
                    (pool.size(), pool.num_idle())
                }
                _ => {
                    let pool = pool.get_sqlite_connection_pool();
                    (pool.size(), pool.num_idle())
                }
            };
            let idle = u32::try_from(idle).unwrap_or(size);
            (name, idle, size.saturating_sub(idle))
        })
    }

    /// Lets every connection go.
    pub async fn close(self) -> Result<(), DbErr> {
        self.read.close().await?;
        self.write.close().await
    }
}

fn sqlite_path(url: &str) -> &str {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    path.split('?').next().unwrap_or(path)
}

/// Waits until no other process opens or migrates the SQLite file.
async fn fence(url: &str) -> Result<std::fs::File, DbErr> {
    let path = format!("{}.migrate", sqlite_path(url));
    let failed = |error: &dyn std::fmt::Display| DbErr::Custom(format!("{path}: {error}"));
    let file = std::fs::File::create(&path).map_err(|error| failed(&error))?;
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

async fn connect_sqlite(config: &DatabaseConfig) -> Result<Db, DbErr> {
    // Who changes the journal of a new file does not wait for another who does: it fails.
    let fence = fence(&config.url).await?;
    let synchronous =
        SqliteSynchronous::from_str(&config.sqlite_synchronous).map_err(connection)?;
    let options = SqliteConnectOptions::new()
        .filename(sqlite_path(&config.url))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        // An order changes some forty pages a commit: a longer log is written back less often.
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-16000")
        // A commit empties the readers' caches; what they read again costs no system call.
        .pragma("mmap_size", "268435456")
        .statement_cache_capacity(200);
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(config.acquire_timeout_secs))
        .connect_with(options.clone())
        .await
        .map_err(connection)?;
    let read = SqlitePoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_secs(config.acquire_timeout_secs))
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(connection)?;
    drop(fence);
    Ok(Db {
        write: SqlxSqliteConnector::from_sqlx_sqlite_pool(write),
        read: SqlxSqliteConnector::from_sqlx_sqlite_pool(read),
        backend: DbBackend::Sqlite,
        url: config.url.clone(),
    })
}

async fn connect_postgres(config: &DatabaseConfig) -> Result<Db, DbErr> {
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(connection)?
        .application_name("oms")
        .statement_cache_capacity(500)
        .options([
            ("lock_timeout", "2s"),
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "5s"),
            // A ROLLBACK where there is nothing to roll back warns; see `after_release`.
            ("client_min_messages", "error"),
        ]);
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_secs(config.acquire_timeout_secs));
    let write = pool
        .clone()
        // A `begin()` that is cancelled half-way leaves the connection inside a transaction that
        // the pool does not know of, and the next borrower's writes vanish with it. Rolling back
        // whatever comes back is the one remedy that was measured to work.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.execute("ROLLBACK").await?;
                Ok(true)
            })
        })
        .connect_with(options.clone())
        .await
        .map_err(connection)?;
    // Reads begin no transactions, so they need no such care, and cannot write by mistake.
    let read = pool
        .connect_with(options.options([("default_transaction_read_only", "on")]))
        .await
        .map_err(connection)?;
    Ok(Db {
        write: SqlxPostgresConnector::from_sqlx_postgres_pool(write),
        read: SqlxPostgresConnector::from_sqlx_postgres_pool(read),
        backend: DbBackend::Postgres,
        url: config.url.clone(),
    })
}

fn connection(error: sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into()))
}
