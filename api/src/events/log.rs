//! Reading the log, and moving its position on SQLite.

use entity::{event_log, sequencer};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use crate::failure::Failure;
use crate::tx::Tx;

/// How many events who reads the log reads at once.
pub const PAGE: u64 = 500;

/// Where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Changes when the log is restored from a backup.
    pub epoch: Uuid,
    /// The newest position.
    pub last_seq: i64,
    /// The newest position that a reader may not resume from before; see `retention`.
    pub floor_seq: i64,
}

/// Where the log stands now.
pub async fn position(connection: &impl ConnectionTrait) -> Result<Position, DbErr> {
    let row = sequencer::Entity::find_by_id(1)
        .one(connection)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the sequencer's row".to_owned()))?;
    Ok(Position {
        epoch: row.epoch,
        last_seq: row.last_seq,
        floor_seq: row.floor_seq,
    })
}

/// Says that the log is another one from here on, as it must be told after a restore from a backup:
/// readers may have seen what is no longer there. Returns the new epoch.
pub async fn restored(tx: &Tx) -> Result<Uuid, Failure> {
    let epoch: Uuid = tx.id();
    sequencer::Entity::update_many()
        .col_expr(sequencer::Column::Epoch, Expr::value(epoch))
        .filter(sequencer::Column::Id.eq(1))
        .exec(tx.db())
        .await?;
    Ok(epoch)
}

/// The events after a position and up to another that meet a condition, oldest first, at most so
/// many.
pub async fn page(
    connection: &impl ConnectionTrait,
    which: Condition,
    after: i64,
    until: i64,
    limit: u64,
) -> Result<Vec<event_log::Model>, DbErr> {
    event_log::Entity::find()
        .filter(event_log::Column::Seq.gt(after))
        .filter(event_log::Column::Seq.lte(until))
        .filter(which)
        .order_by_asc(event_log::Column::Seq)
        .limit(limit)
        .all(connection)
        .await
}

/// Takes `count` positions and returns the one before them. Only for SQLite, where the
/// transaction that does so is the only one that writes.
pub(super) async fn advance(connection: &impl ConnectionTrait, count: usize) -> Result<i64, DbErr> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = sequencer::Entity::update_many()
        .col_expr(
            sequencer::Column::LastSeq,
            Expr::col(sequencer::Column::LastSeq).add(count),
        )
        .filter(sequencer::Column::Id.eq(1))
        .exec_with_returning(connection)
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| DbErr::RecordNotFound("the sequencer's row".to_owned()))?;
    Ok(row.last_seq - count)
}
