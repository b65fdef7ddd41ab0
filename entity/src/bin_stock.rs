//! How many units lie in which bin. The bins of a warehouse add up to its stock on hand.

use sea_orm::entity::prelude::*;

use crate::{BinId, VariantId, WarehouseId};

/// The units of a variant in a bin.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bin_stock")]
pub struct Model {
    /// The bin.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bin_id: BinId,
    /// What lies there.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
    /// The bin's warehouse, repeated so that sums need no join.
    pub warehouse_id: WarehouseId,
    /// How many units; never negative.
    pub quantity: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
