//! What changes about an invoice after it was issued.

use sea_orm::entity::prelude::*;

use crate::{CustomerId, InvoiceId};

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
    /// The customer who owes it on account; none = it is paid otherwise, or a credit note.
    pub customer_id: Option<CustomerId>,
    /// What the customer has paid of it, in minor units; never more than its total.
    pub paid_minor: i64,
    /// Since when nothing of it is owed, by either side; none = something is, or it is not on account.
    pub settled_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What is still owed of it on account, in minor units; below zero, what is owed to the customer.
    pub fn open_minor(&self) -> i64 {
        match self.customer_id {
            Some(_) => self.total_minor - self.credited_minor - self.paid_minor,
            None => 0,
        }
    }

    /// What of the customer's credit so much less to owe sets free, in minor units: no more than the
    /// invoice took of it.
    pub fn frees(&self, less_minor: i64) -> i64 {
        let free = |less: i64| std::cmp::min(less, self.total_minor);
        let before = self.credited_minor + self.paid_minor;
        match self.customer_id {
            Some(_) => free(before + less_minor) - free(before),
            None => 0,
        }
    }

    /// Since when nothing of it is owed if so much less is owed from a moment on, in minor units.
    pub fn settled(&self, less_minor: i64, now: DateTimeUtc) -> Option<DateTimeUtc> {
        (self.customer_id.is_some() && self.open_minor() == less_minor).then_some(now)
    }
}
