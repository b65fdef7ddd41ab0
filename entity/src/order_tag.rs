//! Words that people put on orders to find them again.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::OrderId;

/// A tag on an order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order_tag")]
pub struct Model {
    /// The order that it is on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// The tag without regard to case: by this it is compared.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The tag as it was first written on this order.
    pub tag: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
