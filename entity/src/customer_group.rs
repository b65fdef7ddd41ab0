//! Groups of customers that get prices of their own.

use sea_orm::entity::prelude::*;

/// A group of customers.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer_group")]
pub struct Model {
    /// Its name in price lists; unique.
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
