//! How many units a warehouse has of a variant, and how many of them are promised.

use sea_orm::entity::prelude::*;

use crate::{VariantId, WarehouseId};

/// The database holds `0 <= reserved <= on_hand`. Available = on hand − reserved − safety.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock")]
pub struct Model {
    /// What.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub warehouse_id: WarehouseId,
    /// Units that are there.
    pub on_hand: i64,
    /// Units that are held, softly or for good.
    pub reserved: i64,
    /// Units that are never promised.
    pub safety: i64,
    /// +1 with every change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
