//! The queue for stock: who waits for how much of a SKU, in order of arrival.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BackorderId, ChannelId, LineId, OrderId, VariantId};

/// Where a place in the queue stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It waits for stock.
    Waiting,
    /// Stock came and was allocated to it.
    Allocated,
    /// It was given up.
    Cancelled,
}

/// What the customer said when told of the wait.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Answer {
    /// No answer yet.
    None,
    /// Keep the place.
    Wait,
    /// Cancel for a full refund.
    Cancel,
}

/// A line's place in the queue for a variant: it waits for units in the warehouses that serve its
/// order's channel. Among those who wait for units of one warehouse the oldest comes first, and
/// nobody overtakes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "backorder")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BackorderId,
    /// The order that waits.
    pub order_id: OrderId,
    /// Its line.
    pub line_id: LineId,
    /// The order's channel, which says where it waits.
    pub channel_id: ChannelId,
    /// What it waits for.
    pub variant_id: VariantId,
    /// Its place: lower is served first; unique among those who wait for the variant.
    pub position: i64,
    /// How many units it still waits for.
    pub quantity: i64,
    /// Where it stands.
    pub status: Status,
    /// What the customer said.
    pub answer: Answer,
    /// When stock is expected, from inbound supply; none = honestly unknown.
    pub expected_at: Option<DateTimeUtc>,
    /// Since when it waits.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The warehouses whose units it waits for.
    #[sea_orm(
        belongs_to = "crate::channel_warehouse::Entity",
        from = "Column::ChannelId",
        to = "crate::channel_warehouse::Column::ChannelId"
    )]
    ServedBy,
}

impl ActiveModelBehavior for ActiveModel {}
