//! What of customers' payments pays which invoice.

use sea_orm::entity::prelude::*;

use crate::{CustomerPaymentId, InvoiceId, PaymentAllocationId};

/// A part of a payment, and the invoice that it pays. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_allocation")]
pub struct Model {
    /// Its identifier; the ledger's document.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentAllocationId,
    /// The payment.
    pub payment_id: CustomerPaymentId,
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// How much, in minor units; above 0.
    pub amount_minor: i64,
    /// When it was recorded.
    pub recorded_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
