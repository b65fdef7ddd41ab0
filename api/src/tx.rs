//! One transaction of one actor: the only thing that a use case writes through.
//!
//! A `Tx` has no port to the outside, so no transaction can wait for the network. What happened
//! is said with [`Tx::emit`]; the events, and the writes handed to [`Tx::defer`], go out in one
//! round trip right before the commit.
//!
//! # Lock order
//! Rows are locked in this order everywhere, so that no two transactions wait for each other:
//! stock (by variant, then warehouse), orders (by id), promotions (by id), customers (by id), what an
//! invoice stands at, series of numbers.

use std::sync::Mutex;

use chrono::{DateTime, Utc};
use entity::{OrderId, request_origin};
use sea_orm::sea_query::{
    CommonTableExpression, InsertStatement, OnConflict, SubQueryStatement, WithClause,
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, Insert,
    InsertMany, Iterable, QueryTrait, Set, Statement,
};
use uuid::Uuid;

use crate::events::{self, Entry, Moved};

/// Who does something, as it is written into events and movements: `key:…`, `worker:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name in the log.
    pub name: String,
    /// The request or tick that it acts in.
    pub correlation_id: String,
    /// Where the request came from; none if nobody asked from outside.
    pub origin: Option<Origin>,
}

/// Where a request came from. The log has none of it: an address may be a person's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address at the other end of the connection.
    pub address: String,
    /// The addresses that proxies say stand behind it, as they say it; blank if they say nothing.
    pub forwarded: String,
    /// What the client calls itself; may be blank.
    pub agent: String,
}

impl Actor {
    /// A worker of ours, in a tick of its own.
    pub fn worker(name: &str) -> Self {
        Actor {
            name: format!("worker:{name}"),
            correlation_id: String::new(),
            origin: None,
        }
    }
}

/// How many values one statement may bind: PostgreSQL takes 65,535, SQLite 32,766.
const MAX_VALUES: usize = 28_000;

/// How many values an update is taken to bind.
const UPDATE_VALUES: usize = 40;

/// How many columns a row of the log or the outbox has.
const EVENT_COLUMNS: usize = 14;

// Two chunks of events must never be parts of one statement: PostgreSQL does not run the parts in
// their order, and the outbox's ids would invert an aggregate's versions.
const _: () = assert!(MAX_VALUES.is_multiple_of(EVENT_COLUMNS));

/// A write that waits for the commit.
struct Deferred {
    statement: SubQueryStatement,
    values: usize,
}

/// A running transaction. Made and ended by `App::write` alone.
pub struct Tx {
    connection: DatabaseTransaction,
    /// Who acts.
    pub actor: Actor,
    /// When: the same for everything in the transaction.
    pub now: DateTime<Utc>,
    deferred: Mutex<Vec<Deferred>>,
    entries: Mutex<Vec<Entry>>,
}

impl Tx {
    pub(crate) fn new(connection: DatabaseTransaction, actor: Actor, now: DateTime<Utc>) -> Self {
        Tx {
            connection,
            actor,
            now,
            deferred: Mutex::default(),
            entries: Mutex::default(),
        }
    }

    /// The connection, for reads and for writes whose result decides what comes next.
    pub fn db(&self) -> &DatabaseTransaction {
        &self.connection
    }

    /// Whether rows can be locked one by one; on SQLite the whole database is ours already.
    pub fn locks_rows(&self) -> bool {
        self.connection.get_database_backend() == DbBackend::Postgres
    }

    /// A new identifier. They rise with time, which keeps indexes dense; nothing else may be read
    /// from their order.
    pub fn id<T: From<Uuid>>(&self) -> T {
        new_id()
    }

    /// Says that something happened. It is in the log if, and only if, the transaction commits.
    pub fn emit(&self, entry: Entry) {
        lock(&self.entries).push(entry);
    }

    /// Says where an order came to on the live board by its newest event.
    pub fn moved(&self, order: OrderId, moved: Moved) {
        let mut entries = lock(&self.entries);
        let mut newest = entries.iter_mut().rev();
        if let Some(newest) = newest.find(|entry| entry.order_id == Some(order)) {
            newest.moved = Some(moved);
        }
    }

    /// Hands over a write whose result nobody waits for. Deferred writes run right before the
    /// commit, in one round trip; on PostgreSQL they are parts of one statement, so none of them may
    /// depend on another, and no two may write one row.
    pub fn defer(&self, statement: impl Into<SubQueryStatement>) {
        lock(&self.deferred).push(Deferred {
            statement: statement.into(),
            values: UPDATE_VALUES,
        });
    }

    /// Hands over rows to insert, as [`Tx::defer`] does; `finish` may add what happens when a row
    /// is there already.
    pub fn defer_rows<A>(&self, rows: Vec<A>, finish: impl Fn(InsertMany<A>) -> InsertMany<A>)
    where
        A: ActiveModelTrait,
    {
        let columns = <A::Entity as EntityTrait>::Column::iter().count();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let part: Vec<A> = rows.by_ref().take((MAX_VALUES / columns).max(1)).collect();
            let values = part.len() * columns;
            let insert = finish(Insert::many(part)).into_query();
            lock(&self.deferred).push(Deferred {
                statement: insert.into(),
                values,
            });
        }
    }

    /// Runs what was deferred so far, for what must be read or relied on within the transaction.
    pub async fn flush(&self) -> Result<(), DbErr> {
        let statements = std::mem::take(&mut *lock(&self.deferred));
        run(&self.connection, statements).await
    }

    #[allow(clippy::disallowed_methods, reason = "called by App::write alone")]
    pub(crate) async fn commit(self) -> Result<usize, DbErr> {
        let entries = self.entries.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut statements = self
            .deferred
            .into_inner()
            .unwrap_or_else(|e| e.into_inner());
        let count = entries.len();
        if !entries.is_empty() {
            statements.extend(self.actor.origin.as_ref().map(|origin| Deferred {
                statement: came_from(&self.actor, origin, self.now).into(),
                values: UPDATE_VALUES,
            }));
            for part in entries.chunks(MAX_VALUES / EVENT_COLUMNS) {
                let insert =
                    events::append(&self.connection, part.to_vec(), &self.actor, self.now).await?;
                statements.push(Deferred {
                    statement: insert.into(),
                    values: part.len() * EVENT_COLUMNS,
                });
            }
        }
        run(&self.connection, statements).await?;
        self.connection.commit().await?;
        Ok(count)
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.connection.rollback().await
    }
}

/// Keeps where a request came from, once.
fn came_from(actor: &Actor, origin: &Origin, now: DateTime<Utc>) -> InsertStatement {
    let row = request_origin::ActiveModel {
        id: Set(new_id()),
        correlation_id: Set(actor.correlation_id.clone()),
        actor: Set(actor.name.clone()),
        address: Set(origin.address.clone()),
        forwarded: Set(origin.forwarded.clone()),
        agent: Set(origin.agent.clone()),
        at: Set(now),
    };
    let kept = OnConflict::new().do_nothing().to_owned();
    Insert::one(row).on_conflict(kept).into_query()
}

/// A new identifier, for what is decided before its transaction begins.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that makes identifiers"
)]
pub fn new_id<T: From<Uuid>>() -> T {
    Uuid::now_v7().into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs statements in one round trip: on PostgreSQL as parts of one statement, as many as fit; on
/// SQLite, where a round trip is a hop to the connection's thread and back, one after another.
async fn run(connection: &DatabaseTransaction, deferred: Vec<Deferred>) -> Result<(), DbErr> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return in_turn(connection, &deferred).await;
    }
    let mut group = Vec::new();
    let mut values = 0;
    for next in deferred {
        if values + next.values > MAX_VALUES && !group.is_empty() {
            together(connection, std::mem::take(&mut group)).await?;
            values = 0;
        }
        values += next.values;
        group.push(next.statement);
    }
    together(connection, group).await
}

/// Hands several statements over at once, with their values one after another; the driver runs
/// them in their order.
async fn in_turn(connection: &DatabaseTransaction, deferred: &[Deferred]) -> Result<(), DbErr> {
    let mut sql = String::new();
    let mut values = Vec::new();
    for Deferred { statement, .. } in deferred {
        let statement = build(connection.get_database_backend(), statement)?;
        sql.push_str(&statement.sql);
        sql.push(';');
        values.extend(statement.values.into_iter().flatten());
    }
    if sql.is_empty() {
        return Ok(());
    }
    let all = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection.execute_raw(all).await?;
    Ok(())
}

/// Runs statements as one, each but the last a part of its WITH clause.
async fn together(
    connection: &DatabaseTransaction,
    mut statements: Vec<SubQueryStatement>,
) -> Result<(), DbErr> {
    let Some(last) = statements.pop() else {
        return Ok(());
    };
    if statements.is_empty() {
        let last = build(connection.get_database_backend(), &last)?;
        connection.execute_raw(last).await?;
        return Ok(());
    }
    let mut with = WithClause::new();
    for (place, statement) in statements.into_iter().enumerate() {
        with.cte(
            CommonTableExpression::new()
                .query(statement)
                .table_name(format!("w{place}"))
                .to_owned(),
        );
    }
    connection.execute(&with.query(last)).await?;
    Ok(())
}

fn build(backend: DbBackend, statement: &SubQueryStatement) -> Result<Statement, DbErr> {
    match statement {
        SubQueryStatement::InsertStatement(insert) => Ok(backend.build(insert)),
        SubQueryStatement::UpdateStatement(update) => Ok(backend.build(update)),
        SubQueryStatement::DeleteStatement(delete) => Ok(backend.build(delete)),
        SubQueryStatement::SelectStatement(_) | SubQueryStatement::WithStatement(_) => {
            Err(DbErr::Custom("only writes can be deferred".to_owned()))
        }
    }
}
