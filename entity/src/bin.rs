//! Places in a warehouse.

use sea_orm::entity::prelude::*;

use crate::{BinId, WarehouseId};

/// A bin, in the walking order of zone, aisle, bay, level, position.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bin")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BinId,
    /// The warehouse that it is in.
    pub warehouse_id: WarehouseId,
    /// What its label says; unique in the warehouse.
    pub code: String,
    /// The part of the warehouse.
    pub zone: String,
    /// The aisle in the zone.
    pub aisle: String,
    /// The bay in the aisle.
    pub bay: String,
    /// The level in the bay.
    pub level: String,
    /// The place on the level.
    pub position: String,
    /// Whether nothing may be taken from it now (counting, damage).
    pub locked: bool,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
