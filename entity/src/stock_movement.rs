//! The stock ledger: every change of a stock row, never altered.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BinId, MovementId, OrderId, VariantId, WarehouseId};

/// Why the figures changed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// Goods came in.
    Receive,
    /// Units were held softly.
    Hold,
    /// Units were held for good at once (a waiter was served).
    Allocate,
    /// A hold was let go.
    Release,
    /// A soft hold ran out.
    Expire,
    /// Units left their bin.
    Pick,
    /// Units left the building.
    Ship,
    /// A count corrected the figure.
    Adjust,
    /// Units came back to stock.
    Return,
    /// Units were lost or broken.
    WriteOff,
    /// Units moved between warehouses.
    Transfer,
}

/// One movement. A stock row is the sum of its movements.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_movement")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MovementId,
    /// What moved.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The bin, if on hand changed.
    pub bin_id: Option<BinId>,
    /// Why.
    pub kind: Kind,
    /// Change of on hand.
    pub delta_on_hand: i64,
    /// Change of reserved.
    pub delta_reserved: i64,
    /// Why, in words.
    pub reason: Option<String>,
    /// The paper behind it: delivery note, count sheet.
    pub document: Option<String>,
    /// The order that it is for.
    pub order_id: Option<OrderId>,
    /// Who did it.
    pub actor: String,
    /// Makes a repeated operation visible to the database; unique.
    #[sea_orm(unique)]
    pub operation_key: String,
    /// When.
    pub occurred_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
