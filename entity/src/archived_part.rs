//! By what else an order that was put away is found: its rows and its parcels.

use sea_orm::entity::prelude::*;

use crate::OrderId;

/// A part of an order that was put away.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "archived_part")]
pub struct Model {
    /// The identifier of a row, or `<carrier> <number>` of a parcel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub part: String,
    /// The order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
