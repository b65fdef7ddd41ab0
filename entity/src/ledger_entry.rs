//! The money ledger: every posting names the account that it is taken to and the one that it comes
//! from, so that none can be out of balance.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ChannelId, Currency, LedgerEntryId, OrderId};

/// The chart of accounts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Account {
    /// What customers owe; below zero, what is owed to them.
    Receivable,
    /// What gateways have taken and not paid out yet.
    CashInTransit,
    /// What was paid out to us.
    Bank,
    /// What was sold, after discounts and without tax.
    Revenue,
    /// What was charged for delivery, without tax.
    DeliveryRevenue,
    /// The tax that is owed.
    Tax,
    /// What totals were rounded by.
    Rounding,
    /// What gateways keep for themselves.
    Fees,
    /// What customers have taken back through their banks.
    Chargebacks,
    /// What was written off, less what was found.
    WrittenOff,
}

/// What a posting is made for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Document {
    /// An invoice.
    Invoice,
    /// A credit note.
    CreditNote,
    /// Money that was taken.
    Capture,
    /// Money that was given back.
    Refund,
    /// Money that a gateway paid out.
    Settlement,
    /// Money that a customer has taken back through a bank, or that came back from there.
    Chargeback,
    /// A difference that was written off.
    WriteOff,
    /// Money that a customer has paid for an invoice on account.
    Payment,
}

/// A posting. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entry")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LedgerEntryId,
    /// What it is made for.
    pub document: Document,
    /// Which: an invoice, an effect at a gateway, a line of a settlement, a dispute, a difference, an
    /// allocation of a payment.
    /// What has the same document was posted together.
    pub document_id: Uuid,
    /// The order; none = it is of no order that we know.
    pub order_id: Option<OrderId>,
    /// The order's channel.
    pub channel_id: Option<ChannelId>,
    /// The account that it is taken to.
    pub debit: Account,
    /// The account that it comes from.
    pub credit: Account,
    /// The currency.
    pub currency: Currency,
    /// How much, in minor units; above 0.
    pub amount_minor: i64,
    /// When it was posted.
    pub posted_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
