//! Every scan of a unit in a warehouse, accepted or not; never altered.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{OrderId, PackageId, PickListId, ScanId, VariantId, WarehouseId};

/// Where a unit is scanned.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Station {
    /// At its bin.
    Pick,
    /// At the packing table.
    Pack,
}

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "scan")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ScanId,
    /// Where.
    pub station: Station,
    /// `ACCEPTED`, or the code of the refusal.
    pub verdict: String,
    /// What the scanner read.
    pub code: String,
    /// How many units it counted for; 0 if it was refused.
    pub units: i64,
    /// What it was; none = not known.
    pub variant_id: Option<VariantId>,
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The order that it counted for, or was scanned at.
    pub order_id: Option<OrderId>,
    /// The pick list, at a bin.
    pub pick_list_id: Option<PickListId>,
    /// The package, at a packing table.
    pub package_id: Option<PackageId>,
    /// Who scanned.
    pub actor: String,
    /// With what.
    pub device: Option<String>,
    /// When.
    pub scanned_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
