//! Fulfillment orders: what one warehouse sends of an order.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{FulfillmentOrderId, OrderId, WarehouseId, WaveId};

/// Where a warehouse's work on an order stands.
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
    /// It waits to be picked.
    Open,
    /// A person stopped this part of the order.
    OnHold,
    /// It is on a pick list.
    InProgress,
    /// It has left.
    Closed,
    /// It was taken away from the warehouse.
    Cancelled,
}

/// The work of one warehouse on one order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "fulfillment_order")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FulfillmentOrderId,
    /// What people call it: the order's number and its place; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// The order.
    pub order_id: OrderId,
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// Its place among the order's, from 1.
    pub position: i32,
    /// Where it stands.
    pub status: Status,
    /// The wave that it is in.
    pub wave_id: Option<WaveId>,
    /// Why this warehouse: `{rules, candidates: [{warehouse, …, chosen}], reason}`.
    #[sea_orm(column_type = "JsonBinary")]
    pub routing: Json,
    /// Why it is stopped.
    pub hold_reason: Option<String>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
    /// When it left or was taken away.
    pub closed_at: Option<DateTimeUtc>,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The order that it is of.
    #[sea_orm(
        belongs_to = "crate::order::Entity",
        from = "Column::OrderId",
        to = "crate::order::Column::Id"
    )]
    Order,
}

impl ActiveModelBehavior for ActiveModel {}
