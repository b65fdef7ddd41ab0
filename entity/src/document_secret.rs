//! What the addresses of documents are signed with where the settings have no secret, so that all
//! nodes agree.

use sea_orm::entity::prelude::*;

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "document_secret")]
pub struct Model {
    /// What it is for: `url`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The secret.
    #[sea_orm(column_type = "Blob")]
    pub value: Vec<u8>,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
