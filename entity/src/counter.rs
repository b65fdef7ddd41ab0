//! Counters that numbers for people are drawn from.

use sea_orm::entity::prelude::*;

/// A counter. Numbers are drawn in blocks, so gaps are normal.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "counter")]
pub struct Model {
    /// What it counts: `order_number`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The last number that was drawn.
    pub value: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
