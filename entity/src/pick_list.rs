//! Pick lists: what one picker takes from which bins.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{PickListId, WarehouseId, WaveId};

/// Where a pick list stands.
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
    /// Nobody has it.
    Open,
    /// A picker has it.
    Picking,
    /// Nothing on it is left to pick.
    Done,
}

/// A pick list.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pick_list")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PickListId,
    /// What people call it; unique.
    #[sea_orm(unique)]
    pub number: String,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// The wave that it is of.
    pub wave_id: Option<WaveId>,
    /// What makes it a list of its own: a zone, an SKU, a service level.
    pub name: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Who has it.
    pub picker: Option<String>,
    /// Since when.
    pub claimed_at: Option<DateTimeUtc>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was done.
    pub closed_at: Option<DateTimeUtc>,
    /// +1 with every change.
    pub version: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
