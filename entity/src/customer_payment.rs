//! Money that customers have paid on account.

use sea_orm::entity::prelude::*;

use crate::{Currency, CustomerId, CustomerPaymentId};

/// Money that came from a customer for its invoices. It never changes, but for what the payer wrote,
/// which is taken out when the customer is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer_payment")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CustomerPaymentId,
    /// Who paid.
    pub customer_id: CustomerId,
    /// The currency.
    pub currency: Currency,
    /// How much, in minor units; above 0.
    pub amount_minor: i64,
    /// What the bank calls it; unique among the customer's.
    pub reference: String,
    /// When it came.
    pub received_at: DateTimeUtc,
    /// When it was recorded.
    pub recorded_at: DateTimeUtc,
    /// Who recorded it.
    pub recorded_by: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
