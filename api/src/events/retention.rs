//! How far back a reader may resume, and what of the log is let go.
//!
//! Behind the floor a reader begins anew. What stands there of changed stock is let go: it is most of
//! the log, and the ledger of movements has it for good. Everything else stays where it is: an
//! order's timeline is read from the log, and what was done to the catalogue, to safety levels, to
//! rules and to customers stands nowhere else.

use chrono::{DateTime, Utc};
use entity::{event_log, projection, sequencer};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::log;
use crate::failure::Failure;
use crate::tx::Tx;

/// How many positions the floor rises at once.
pub const POSITIONS_AT_ONCE: u64 = 1_000;

/// Raises the floor over the oldest events if they are from before a moment, and says by how many
/// positions; never over what a projection has still to read. The rows go in the same transaction,
/// so no reader finds them gone above the floor.
pub async fn forget(tx: &Tx, before: DateTime<Utc>) -> Result<usize, Failure> {
    let floor = log::position(tx.db()).await?.floor_seq;
    let read_by_all: Option<i64> = projection::Entity::find()
        .select_only()
        .column_as(projection::Column::Seq.min(), "seq")
        .into_tuple()
        .one(tx.db())
        .await?
        .flatten();
    let oldest: Vec<(i64, DateTime<Utc>)> = event_log::Entity::find()
        .select_only()
        .column(event_log::Column::Seq)
        .column(event_log::Column::OccurredAt)
        .filter(event_log::Column::Seq.gt(floor))
        .filter(event_log::Column::Seq.lte(read_by_all.unwrap_or(i64::MAX)))
        .order_by_asc(event_log::Column::Seq)
        .limit(POSITIONS_AT_ONCE)
        .into_tuple()
        .all(tx.db())
        .await?;
    let old = oldest.iter().take_while(|(_, at)| *at < before);
    let Some((raised, _)) = old.last() else {
        return Ok(0);
    };
    event_log::Entity::delete_many()
        .filter(event_log::Column::Seq.gt(floor))
        .filter(event_log::Column::Seq.lte(*raised))
        .filter(event_log::Column::EventType.eq("stock.changed"))
        .exec(tx.db())
        .await?;
    // Last, since whoever stamps waits for this row.
    let own = sequencer::Entity::update_many()
        .col_expr(sequencer::Column::FloorSeq, Expr::value(*raised))
        .filter(sequencer::Column::Id.eq(1))
        .filter(sequencer::Column::FloorSeq.eq(floor))
        .exec(tx.db())
        .await?;
    // Another node was at it, and has removed the same rows.
    let raised = if own.rows_affected == 0 {
        floor
    } else {
        *raised
    };
    Ok(usize::try_from(raised - floor).unwrap_or_default())
}
