//! Places in a warehouse.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BinId, WarehouseId};

/// What a bin is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// Goods lie in it until they are picked.
    Storage,
    /// Picked goods lie in it until they leave; a warehouse has one at most.
    Staging,
}

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
    /// What it is for.
    pub purpose: Purpose,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
