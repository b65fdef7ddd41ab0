//! Waves: orders that are picked in one walk.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{WarehouseId, WaveId};

/// Where a wave stands.
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
    /// Orders are put together; nothing is on a list yet.
    Open,
    /// It is on pick lists.
    Released,
    /// Everything on its lists is settled.
    Done,
    /// It was given up before its release.
    Cancelled,
}

/// What makes a list of its own.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Grouping {
    /// Nothing: one list for the whole wave.
    OneList,
    /// Each zone of the warehouse.
    WarehouseZone,
    /// Each SKU.
    Sku,
    /// Each service level of the orders.
    ServiceLevel,
}

/// A wave.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "wave")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WaveId,
    /// What people call it; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// Where it is picked.
    pub warehouse_id: WarehouseId,
    /// Where it stands.
    pub status: Status,
    /// What makes a list of its own.
    pub grouping: Grouping,
    /// What its work was chosen by, as it was asked for.
    #[sea_orm(column_type = "JsonBinary")]
    pub criteria: Json,
    /// How many orders it was released with.
    pub orders: i64,
    /// How many times a picker stops at a bin for it.
    pub bin_visits: i64,
    /// How many times it would be, one order after another.
    pub bin_visits_singly: i64,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTimeUtc,
    /// When it went onto pick lists.
    pub released_at: Option<DateTimeUtc>,
    /// When it was done or given up.
    pub closed_at: Option<DateTimeUtc>,
    /// +1 with every change.
    pub version: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
