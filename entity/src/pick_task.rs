//! Rows of pick lists: units of one line, from one bin, into one slot.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BinId, FulfillmentOrderId, LineId, PickListId, PickTaskId, VariantId, WarehouseId};

/// Where a row stands.
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
    /// Units are to be picked.
    Open,
    /// All were picked.
    Done,
    /// Some were not there.
    Short,
    /// The rest is no longer wanted.
    Cancelled,
}

/// A row of a pick list.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "pick_task")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PickTaskId,
    /// The list.
    pub pick_list_id: PickListId,
    /// Its place in the walk, from 0. Rows of one bin and SKU share it.
    pub position: i32,
    /// The place of the order on the cart, from 1.
    pub slot: i32,
    /// Whose units they are.
    pub fulfillment_order_id: FulfillmentOrderId,
    /// The order's line.
    pub line_id: LineId,
    /// What to take.
    pub variant_id: VariantId,
    /// The bin's warehouse, repeated so that sums need no join.
    pub warehouse_id: WarehouseId,
    /// From where.
    pub bin_id: BinId,
    /// How many units.
    pub quantity: i64,
    /// How many were scanned.
    pub picked: i64,
    /// Where it stands.
    pub status: Status,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
