//! What was refused of settlements, line by line.

use sea_orm::entity::prelude::*;

use crate::SettlementId;

/// One refused line.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settlement_error")]
pub struct Model {
    /// The file.
    #[sea_orm(primary_key, auto_increment = false)]
    pub settlement_id: SettlementId,
    /// The row in the file, counted from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub row_number: i64,
    /// Which error of the row, counted from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: i32,
    /// The line's name, if it could be read.
    pub reference: Option<String>,
    /// The coded error.
    pub code: String,
    /// Where: the column.
    pub field: Option<String>,
    /// What is wrong, for people.
    pub message: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
