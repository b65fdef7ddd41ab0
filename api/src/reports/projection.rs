//! How a table that follows from the log is moved forward: a batch of positions at a time, its own
//! position in the same transaction.

use entity::projection;
use sea_orm::sea_query::{LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryTrait};

use crate::events;
use crate::tx::Tx;

/// Positions of the log that a projection takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The newest that it has already.
    pub after: i64,
    /// The last of the batch.
    pub until: i64,
}

impl Batch {
    /// How many positions it is.
    pub fn positions(self) -> usize {
        usize::try_from(self.until - self.after).unwrap_or_default()
    }
}

/// Where a projection stands.
pub async fn position(db: &impl ConnectionTrait, name: &str) -> Result<i64, DbErr> {
    projection::Entity::find_by_id(name)
        .one(db)
        .await?
        .map(|row| row.seq)
        .ok_or_else(|| DbErr::RecordNotFound(format!("the position of {name}")))
}

/// Whether the log has positions that a projection has not.
pub async fn is_behind(db: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    Ok(position(db, name).await? < events::position(db).await?.last_seq)
}

/// Takes the next positions of the log, `most` of them at most, and moves the projection behind
/// them when the transaction commits. None if there are none, or if another node is at it.
pub async fn take(tx: &Tx, name: &str, most: i64) -> Result<Option<Batch>, DbErr> {
    let mut own = projection::Entity::find_by_id(name);
    if tx.locks_rows() {
        QueryTrait::query(&mut own).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let Some(own) = own.one(tx.db()).await? else {
        return Ok(None);
    };
    let last = events::position(tx.db()).await?.last_seq;
    let until = std::cmp::min(own.seq + most, last);
    if until <= own.seq {
        return Ok(None);
    }
    tx.defer(
        Query::update()
            .table(projection::Entity)
            .value(projection::Column::Seq, until)
            .and_where(projection::Column::Name.eq(name))
            .to_owned(),
    );
    Ok(Some(Batch {
        after: own.seq,
        until,
    }))
}
