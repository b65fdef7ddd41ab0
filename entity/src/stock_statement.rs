//! What a source last said of a variant in a warehouse.

use sea_orm::entity::prelude::*;

use crate::{StockSourceId, VariantId, WarehouseId};

/// A statement. There is one for a variant and warehouse at most, the newest.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_statement")]
pub struct Model {
    /// Of what.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub warehouse_id: WarehouseId,
    /// Who said it.
    pub source_id: StockSourceId,
    /// Units that are there; none = it has never said, and should have.
    pub on_hand: Option<i64>,
    /// When that was true.
    pub observed_at: Option<DateTimeUtc>,
    /// The version of the feed that said so, where the source counts them.
    pub feed_version: Option<i64>,
    /// The time of the newest feed that named it.
    pub named_at: Option<DateTimeUtc>,
    /// Since when full snapshots leave it out; none = they do not.
    pub missing_since: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
