//! What an import refused, row by row.

use sea_orm::entity::prelude::*;

use crate::ImportId;

/// One refused row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_error")]
pub struct Model {
    /// The import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: ImportId,
    /// The row in the file, counted from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub row_number: i64,
    /// Which error of the row, counted from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: i32,
    /// The order's reference, if it could be read.
    pub external_reference: Option<String>,
    /// The coded error.
    pub code: String,
    /// Where, as a path.
    pub field: Option<String>,
    /// What is wrong, for people.
    pub message: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
