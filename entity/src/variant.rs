//! Variants: what is sold, stocked and scanned.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ProductId, VariantId};

/// Whether a variant is sold.
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
    /// It is.
    Active,
    /// It is no longer.
    Discontinued,
}

/// A variant of a product, known by its SKU.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "variant")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: VariantId,
    /// The product that it is of.
    pub product_id: ProductId,
    /// Its stock-keeping unit, as written; unique.
    #[sea_orm(unique)]
    pub sku: String,
    /// Its name on orders.
    pub title: String,
    /// Whether it is sold.
    pub status: Status,
    /// Whether it may be ordered while there is none.
    pub backorderable: bool,
    /// How it is taxed.
    pub tax_category: String,
    /// Weight of a unit, in grams.
    pub weight_grams: i64,
    /// Whether it is dangerous goods, which few services of carriers take.
    pub dangerous_goods: bool,
    /// Length of a unit, in millimetres.
    pub length_mm: Option<i32>,
    /// Width of a unit, in millimetres.
    pub width_mm: Option<i32>,
    /// Height of a unit, in millimetres.
    pub height_mm: Option<i32>,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
