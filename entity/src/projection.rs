//! How far each table that follows from the log has come.

use sea_orm::entity::prelude::*;

/// A projection's place in the log. Its row lock is the fence: who holds it moves the projection.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "projection")]
pub struct Model {
    /// The table that follows from the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The newest position that is in it.
    pub seq: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
