//! What the database says of the program's health, for those who watch over it: what waits, and
//! for how long. Each is a count of what is open, over an index of what is open.

use chrono::{DateTime, Utc};
use entity::{backorder, order_exception, outbox, payment_transaction, stock_source};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::stages::{self, StageCounts};
use crate::events::{self, Position};
use crate::notifications;

/// What waits now.
#[derive(Clone, Debug)]
pub struct Readings {
    /// Where the log stands.
    pub log: Position,
    /// How many events wait for their position.
    pub outbox: u64,
    /// Since when the oldest of them does.
    pub outbox_since: Option<DateTime<Utc>>,
    /// The orders at each stage.
    pub stages: StageCounts,
    /// Open exceptions of each severity.
    pub exceptions: Vec<(String, i64)>,
    /// How many order lines wait for stock.
    pub backorders: u64,
    /// How many sources of stock figures are stale.
    pub stale_sources: u64,
    /// Gateway calls that are not settled, of each state.
    pub effects: Vec<(String, i64)>,
    /// Since when the oldest of them is.
    pub effects_since: Option<DateTime<Utc>>,
    /// How many messages are still to be sent.
    pub messages: u64,
    /// Since when the oldest of them is owed.
    pub messages_since: Option<DateTime<Utc>>,
}

/// Reads them.
pub async fn read(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Readings, DbErr> {
    let unsettled = || {
        use payment_transaction::{Column, Entity, State};
        let open = [State::Ready, State::Sent, State::Unknown];
        Entity::find().filter(Column::State.is_in(open))
    };
    // On SQLite an event has its position from the first.
    let (waiting, waiting_since) = match db.get_database_backend() {
        DbBackend::Postgres => (
            outbox::Entity::find().count(db).await?,
            outbox::Entity::find()
                .select_only()
                .column(outbox::Column::OccurredAt)
                .order_by_asc(outbox::Column::Id)
                .into_tuple()
                .one(db)
                .await?,
        ),
        _ => (0, None),
    };
    let (messages, messages_since) = notifications::waiting(db).await?;
    Ok(Readings {
        messages,
        messages_since,
        log: events::position(db).await?,
        outbox: waiting,
        outbox_since: waiting_since,
        stages: stages::read(db, None, now).await?,
        exceptions: order_exception::Entity::find()
            .select_only()
            .column(order_exception::Column::Severity)
            .column_as(order_exception::Column::Id.count(), "exceptions")
            .filter(order_exception::Column::ResolvedAt.is_null())
            .group_by(order_exception::Column::Severity)
            .into_tuple()
            .all(db)
            .await?,
        backorders: backorder::Entity::find()
            .filter(backorder::Column::Status.eq(backorder::Status::Waiting))
            .count(db)
            .await?,
        stale_sources: stock_source::Entity::find()
            .filter(stock_source::Column::StaleSince.is_not_null())
            .count(db)
            .await?,
        effects: unsettled()
            .select_only()
            .column(payment_transaction::Column::State)
            .column_as(payment_transaction::Column::Id.count(), "effects")
            .group_by(payment_transaction::Column::State)
            .into_tuple()
            .all(db)
            .await?,
        effects_since: unsettled()
            .select_only()
            .column(payment_transaction::Column::CreatedAt)
            .order_by_asc(payment_transaction::Column::CreatedAt)
            .into_tuple()
            .one(db)
            .await?,
    })
}
