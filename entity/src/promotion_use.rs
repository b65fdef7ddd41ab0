//! Which orders used which promotions.

use sea_orm::entity::prelude::*;

use crate::{OrderId, PromotionId};

/// One use. A promotion counts it in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "promotion_use")]
pub struct Model {
    /// The promotion.
    #[sea_orm(primary_key, auto_increment = false)]
    pub promotion_id: PromotionId,
    /// The order that used it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// What it took off, in minor units.
    pub amount_minor: i64,
    /// When.
    pub used_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
