//! Events of committed transactions that wait for their position in the log (PostgreSQL).

use sea_orm::entity::prelude::*;

use crate::order::Stage;
use crate::{ChannelId, EventId, OrderId};

/// An event without a position yet; the sequencer moves it to the log.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Order of insertion; not a position, since numbers are given out before commit.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The event's identifier.
    #[sea_orm(unique)]
    pub event_id: EventId,
    /// See `event_log`.
    pub aggregate_type: String,
    /// See `event_log`.
    pub aggregate_id: String,
    /// See `event_log`.
    pub aggregate_version: i64,
    /// See `event_log`.
    pub event_type: String,
    /// See `event_log`.
    pub channel_id: Option<ChannelId>,
    /// See `event_log`.
    pub order_id: Option<OrderId>,
    /// See `event_log`.
    pub stage_from: Option<Stage>,
    /// See `event_log`.
    pub stage_to: Option<Stage>,
    /// See `event_log`.
    pub actor: String,
    /// See `event_log`.
    pub correlation_id: String,
    /// See `event_log`.
    pub trace_parent: Option<String>,
    /// See `event_log`.
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    /// See `event_log`.
    pub occurred_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
