//! What changes about an invoice after it was issued.

use sea_orm::entity::prelude::*;

use crate::InvoiceId;

/// Where an invoice stands.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invoice_standing")]
pub struct Model {
    /// The invoice.
    #[sea_orm(primary_key, auto_increment = false)]
    pub invoice_id: InvoiceId,
    /// Its total, in minor units.
    pub total_minor: i64,
    /// What credit notes take off it, in minor units; never more than its total.
    pub credited_minor: i64,
    /// Whether its documents are stored.
    pub printed: bool,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
