//! Gives committed events their positions (PostgreSQL).
//!
//! A database sequence is not a log position: its numbers are handed out before commit, so a
//! reader that has passed 7 can miss 6. Here work is found by its presence in the outbox, so a
//! late committer's event is simply still there; the position moves in the transaction that
//! writes the rows, so there are no holes; and a row lock is the fence, so any number of nodes
//! may try. An aggregate's version lock is held to commit, so its events are stamped in order.

use entity::event_log;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement, TransactionTrait,
};

use super::bus::Envelope;

/// How many events one transaction stamps at most.
pub(super) const BATCH: u64 = 500;

/// Moves one batch from the outbox to the log; none if nothing waited.
///
/// The lock is a statement of its own, so that the next statement's snapshot is taken after the
/// lock is won. Rows are never skipped: skipping one that is locked would invert an order.
#[allow(
    clippy::disallowed_methods,
    reason = "the sequencer's transaction is no use case's"
)]
pub(super) async fn stamp(db: &DatabaseConnection) -> Result<Option<Envelope>, DbErr> {
    let backend = db.get_database_backend();
    let waiting = db
        .query_one_raw(Statement::from_string(
            backend,
            "SELECT 1 FROM outbox LIMIT 1",
        ))
        .await?;
    if waiting.is_none() {
        return Ok(None);
    }
    let tx = db.begin().await?;
    let own = tx
        .query_one_raw(Statement::from_string(
            backend,
            "SELECT epoch FROM sequencer WHERE id = 1 FOR UPDATE",
        ))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the sequencer's row".to_owned()))?;
    let stamped = tx
        .query_all_raw(Statement::from_sql_and_values(
            backend,
            r#"
            WITH batch AS (SELECT id FROM outbox ORDER BY id LIMIT $1),
            taken AS (DELETE FROM outbox o USING batch WHERE o.id = batch.id RETURNING o.*),
            stamped AS (
                SELECT (SELECT last_seq FROM sequencer WHERE id = 1)
                        + row_number() OVER (ORDER BY id) AS seq, taken.*
                FROM taken),
            moved AS (
                UPDATE sequencer SET last_seq = last_seq + (SELECT count(*) FROM taken)
                WHERE id = 1)
            INSERT INTO event_log (seq, id, aggregate_type, aggregate_id, aggregate_version,
                event_type, channel_id, order_id, stage_from, stage_to, actor, correlation_id,
                trace_parent, payload, occurred_at)
            SELECT seq, event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
                channel_id, order_id, stage_from, stage_to, actor, correlation_id,
                trace_parent, payload, occurred_at
            FROM stamped ORDER BY seq
            RETURNING *"#,
            [i64::try_from(BATCH).unwrap_or(i64::MAX).into()],
        ))
        .await?;
    tx.commit().await?;
    let mut events = stamped
        .iter()
        .map(|row| event_log::Model::from_query_result(row, ""))
        .collect::<Result<Vec<_>, _>>()?;
    events.sort_by_key(|event| event.seq);
    let epoch = own.try_get("", "epoch")?;
    // Another node may have moved everything while we waited for the lock.
    Ok(events.last().map(|newest| newest.seq).map(|last| Envelope {
        epoch,
        last,
        events,
    }))
}
