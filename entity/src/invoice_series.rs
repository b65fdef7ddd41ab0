//! The numbers of invoices and credit notes.

use sea_orm::entity::prelude::*;

use crate::LegalEntityId;
use crate::invoice::Kind;

/// A series of numbers without gaps: a number is taken in the transaction that uses it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invoice_series")]
pub struct Model {
    /// Whose numbers.
    #[sea_orm(primary_key, auto_increment = false)]
    pub legal_entity_id: LegalEntityId,
    /// What is numbered.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    /// What stands before the number.
    pub prefix: String,
    /// The number that is taken next; the first is 1.
    pub next_number: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
