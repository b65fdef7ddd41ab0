//! The log: every state change, in one total order without holes.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::order::Stage;
use crate::{ChannelId, EventId, OrderId};

/// One event at its position. Rows never change.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "event_log")]
pub struct Model {
    /// Its position: 1, 2, 3 … without holes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// Its identifier, the same wherever it is delivered.
    #[sea_orm(unique)]
    pub id: EventId,
    /// What kind of thing changed: `order`, `stock` …
    pub aggregate_type: String,
    /// Which one.
    pub aggregate_id: String,
    /// The thing's version after the change: 1, 2, 3 … per aggregate.
    pub aggregate_version: i64,
    /// What happened: `order.received` …
    pub event_type: String,
    /// The channel whose readers may see it; none = staff only.
    pub channel_id: Option<ChannelId>,
    /// The order on whose timeline it stands.
    pub order_id: Option<OrderId>,
    /// The stage that its order left with it; none if the order is new or stays where it is.
    pub stage_from: Option<Stage>,
    /// The stage that its order came to with it; none if the order stays where it is.
    pub stage_to: Option<Stage>,
    /// Who did it: `key:…`, `worker:…`.
    pub actor: String,
    /// The request or tick that it came from.
    pub correlation_id: String,
    /// Where it was written in a trace, as a W3C `traceparent`; none if nobody keeps the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    /// The changed facts; ids and figures, no personal data.
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    /// When it was written.
    pub occurred_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
