//! Returns: what a customer wants to give back of an order, and how far that is.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, OrderId, ReturnId, WarehouseId};

/// How far a return is.
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
    /// Somebody asked for it; nobody has decided.
    Requested,
    /// It may come.
    Approved,
    /// It may not.
    Declined,
    /// It is on its way.
    InTransit,
    /// Something of it is at the dock.
    Received,
    /// What became of every unit of it is known.
    Inspected,
    /// It is settled.
    Closed,
    /// It was called off.
    Cancelled,
}

/// A return.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "return_order")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReturnId,
    /// What people call it, and write on the parcel; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// The order that it is of.
    pub order_id: OrderId,
    /// Its channel.
    pub channel_id: ChannelId,
    /// How far it is.
    pub status: Status,
    /// Whether it was asked for before it came.
    pub announced: bool,
    /// What whoever asked for it wrote.
    pub note: Option<String>,
    /// Why it was declined, called off or closed.
    pub end_reason: Option<String>,
    /// Who brings it.
    pub carrier: Option<String>,
    /// The parcel that it comes in; others may be in it, too.
    pub tracking_number: Option<String>,
    /// Where it came to.
    pub warehouse_id: Option<WarehouseId>,
    /// Who asked for it.
    pub requested_by: String,
    /// When that was.
    pub requested_at: DateTimeUtc,
    /// When it was approved.
    pub approved_at: Option<DateTimeUtc>,
    /// When it was sent.
    pub shipped_at: Option<DateTimeUtc>,
    /// When something of it came first.
    pub received_at: Option<DateTimeUtc>,
    /// When what became of every unit was known.
    pub inspected_at: Option<DateTimeUtc>,
    /// When it ended.
    pub closed_at: Option<DateTimeUtc>,
    /// +1 with every change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
