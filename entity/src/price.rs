//! Prices with their quantity tiers.

use sea_orm::entity::prelude::*;

use crate::{PriceListId, VariantId};

/// What a unit costs from a quantity on.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "price")]
pub struct Model {
    /// The price list.
    #[sea_orm(primary_key, auto_increment = false)]
    pub price_list_id: PriceListId,
    /// What is sold.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant_id: VariantId,
    /// From how many units of the line on; at least 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub min_quantity: i64,
    /// What each unit then costs, in minor units.
    pub unit_price_minor: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
