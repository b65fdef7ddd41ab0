//! Stock held for lines of orders.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{LineId, OrderId, ReservationId, VariantId, WarehouseId};

/// Where a reservation stands. One compare-and-set decides between its ends.
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
    /// Held softly, until it expires.
    Active,
    /// Held for good.
    Allocated,
    /// Gone.
    Shipped,
    /// Let go.
    Released,
    /// Its time ran out.
    Expired,
}

/// Units of a variant in a warehouse that are held for a line.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "reservation")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    /// The order that it is for.
    pub order_id: OrderId,
    /// Its line.
    pub line_id: LineId,
    /// What is held.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// How many units; above 0.
    pub quantity: i64,
    /// Where it stands.
    pub status: Status,
    /// When a soft hold runs out; none = never.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
