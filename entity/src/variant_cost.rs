//! What units cost the merchant. Apart from the variants, which partners read.

use sea_orm::entity::prelude::*;

use crate::{Currency, VariantId};

/// What a unit of a variant costs. Without a row, or an amount, its stock is not valued.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "variant_cost")]
pub struct Model {
    /// Of which variant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
    /// The currency.
    pub currency: Option<Currency>,
    /// How much, in minor units.
    pub amount_minor: Option<i64>,
    /// +1 with every change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
