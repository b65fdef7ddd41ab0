//! What a fulfillment order has of an order's lines.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{FulfillmentOrderId, LineId, VariantId};

/// Units of a line that one warehouse sends. `packed <= picked <= quantity`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "fulfillment_line")]
pub struct Model {
    /// The work.
    #[sea_orm(primary_key, auto_increment = false)]
    pub fulfillment_order_id: FulfillmentOrderId,
    /// The order's line.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line_id: LineId,
    /// What it is.
    pub variant_id: VariantId,
    /// How many units.
    pub quantity: i64,
    /// How many were scanned at their bin.
    pub picked: i64,
    /// How many were scanned again into a package.
    pub packed: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
