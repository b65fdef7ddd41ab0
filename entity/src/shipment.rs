//! Shipments: what leaves a warehouse together for one order.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Currency, FulfillmentOrderId, OrderId, ShipmentId, WarehouseId};

/// Where a shipment stands in the warehouse.
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
    /// Being picked.
    Pending,
    /// Everything was picked.
    Picked,
    /// Everything is in closed packages.
    Packed,
    /// Every package has its label.
    Labeled,
    /// It has left.
    Dispatched,
    /// It will not leave.
    Cancelled,
}

/// What the carrier has said, in the order of its rank.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TrackingStatus {
    /// Nothing that is understood.
    Unknown,
    /// The carrier knows of it.
    PreTransit,
    /// The carrier has scanned it.
    CarrierPickedUp,
    /// It is on its way.
    InTransit,
    /// It is on the last van.
    OutForDelivery,
    /// Nobody took it.
    AttemptedDelivery,
    /// The customer has it.
    Delivered,
    /// It comes back.
    ReturnToSender,
    /// It is lost or broken.
    Failure,
}

/// A shipment. A fulfillment order has one that is not cancelled, at most.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "shipment")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ShipmentId,
    /// What people call it; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// The order.
    pub order_id: OrderId,
    /// The warehouse's work that it is of.
    pub fulfillment_order_id: FulfillmentOrderId,
    /// Where it leaves from.
    pub warehouse_id: WarehouseId,
    /// Where it stands.
    pub status: Status,
    /// What the carrier has said.
    pub tracking_status: TrackingStatus,
    /// The carrier's code.
    pub carrier: Option<String>,
    /// The carrier's service.
    pub service: Option<String>,
    /// Why this carrier: every candidate, its cost, its date, and why it lost.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub choice: Option<Json>,
    /// What the carrier asks for it, in minor units.
    pub cost_minor: Option<i64>,
    /// Of the cost.
    pub currency: Option<Currency>,
    /// When the customer should have it.
    pub promised_at: Option<DateTimeUtc>,
    /// When it left.
    pub dispatched_at: Option<DateTimeUtc>,
    /// When it arrived.
    pub delivered_at: Option<DateTimeUtc>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
    /// When its carrier should have scanned it at the latest, and had not.
    pub missed_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
