//! Where a feed and the ledger differed; never altered.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{DriftId, StockSourceId, VariantId, WarehouseId};

/// How they differed.
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
    /// The feed had another figure.
    Figure,
    /// A full snapshot left the SKU out.
    Missing,
}

/// One difference, as it was found.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_drift")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DriftId,
    /// Whose feed.
    pub source_id: StockSourceId,
    /// Of what.
    pub variant_id: VariantId,
    /// Where.
    pub warehouse_id: WarehouseId,
    /// How they differed.
    pub kind: Kind,
    /// What the feed said; none = nothing.
    pub stated: Option<i64>,
    /// What the ledger had for that moment.
    pub had: i64,
    /// The moment.
    pub observed_at: DateTimeUtc,
    /// When the feed came.
    pub found_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
