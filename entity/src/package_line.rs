//! What a package should hold, and does.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{LineId, PackageId, VariantId};

/// Units of a line in a package. `packed <= expected`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "package_line")]
pub struct Model {
    /// The package.
    #[sea_orm(primary_key, auto_increment = false)]
    pub package_id: PackageId,
    /// The order's line.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line_id: LineId,
    /// What it is.
    pub variant_id: VariantId,
    /// How many units it should hold.
    pub expected: i64,
    /// How many were scanned into it.
    pub packed: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
