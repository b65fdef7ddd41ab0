//! Every code that a variant is found by.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::VariantId;

/// What a code is.
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
    /// Our own SKU.
    Sku,
    /// Another name: an old SKU, a channel's.
    Alias,
    /// The barcode on a unit.
    Gtin,
    /// The barcode on a case of several units.
    Case,
}

/// A code. Codes are compared without case, blanks, dashes, dots and underscores.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "variant_code")]
pub struct Model {
    /// The code as it is compared; unique.
    #[sea_orm(primary_key, auto_increment = false)]
    pub code_key: String,
    /// The code as it is written.
    pub code: String,
    /// What it stands for.
    pub variant_id: VariantId,
    /// What it is.
    pub kind: Kind,
    /// How many units a scan of it is worth: more than 1 for a case.
    pub units: i64,
}

/// The joins that are read often.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// What the code stands for.
    #[sea_orm(
        belongs_to = "crate::variant::Entity",
        from = "Column::VariantId",
        to = "crate::variant::Column::Id"
    )]
    Variant,
}

impl Related<crate::variant::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Variant.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
