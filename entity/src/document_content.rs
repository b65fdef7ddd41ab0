//! The bytes of documents. They are written once and never changed.

use sea_orm::entity::prelude::*;

use crate::DocumentId;

/// The bytes of one document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "document_content")]
pub struct Model {
    /// Whose they are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub document_id: DocumentId,
    /// The document as it is sent.
    #[sea_orm(column_type = "Blob")]
    pub bytes: Vec<u8>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
