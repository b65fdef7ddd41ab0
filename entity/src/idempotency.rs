//! Answers kept for 72 hours, so that a repeated request has the effect of one.

use sea_orm::entity::prelude::*;

/// The answer to one request of one caller.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub struct Model {
    /// Whose key it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor: String,
    /// The key that the caller chose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The mutation.
    pub operation: String,
    /// SHA-256 of the input, in hexadecimal.
    pub fingerprint: String,
    /// The saved answer.
    #[sea_orm(column_type = "JsonBinary")]
    pub response: Json,
    /// When it was answered.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
