//! How gateways' files are written.

use sea_orm::entity::prelude::*;

/// How a gateway's files are written, by name.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settlement_format")]
pub struct Model {
    /// The gateway.
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway: String,
    /// The format's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Which column is what.
    #[sea_orm(column_type = "JsonBinary")]
    pub mapping: Json,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
