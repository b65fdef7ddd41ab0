//! What was found of units that came back, and what became of them.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BinId, MovementId, OrderId, ReturnId, ReturnLineId, ReturnUnitId, VariantId};

/// What state units are in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Condition {
    /// As they left.
    New,
    /// Unpacked and not used.
    Opened,
    /// Used.
    Used,
    /// Broken on their way or before.
    Damaged,
    /// They do not work.
    Defective,
    /// They did not come.
    NotSeen,
}

/// What became of units.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Disposition {
    /// They are in stock again.
    Restocked,
    /// They came and are of no use.
    WrittenOff,
    /// They did not come.
    Missing,
}

/// Units of a return that are alike. What became of them never changes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "return_unit")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReturnUnitId,
    /// The return.
    pub return_id: ReturnId,
    /// Its order.
    pub order_id: OrderId,
    /// The line that they are of; none = nobody expected them.
    pub return_line_id: Option<ReturnLineId>,
    /// What they are; none = nobody knows.
    pub variant_id: Option<VariantId>,
    /// Their SKU, or what was written of them.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// Their state.
    pub condition: Condition,
    /// What became of them.
    pub disposition: Disposition,
    /// The movement of stock that booked it; none if they did not come, or nobody knows what they are.
    pub movement_id: Option<MovementId>,
    /// The bin that they were put into.
    pub bin_id: Option<BinId>,
    /// What was written of them.
    pub note: Option<String>,
    /// Where a photo of them is.
    pub photo: Option<String>,
    /// Who looked at them.
    pub inspected_by: String,
    /// When.
    pub inspected_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
