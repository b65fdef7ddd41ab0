//! Invoices and credit notes, as they were issued. They never change.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, Currency, InvoiceId, LegalEntityId, OrderId, ShipmentId};

/// What is issued.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// What is charged for a shipment.
    Invoice,
    /// What an invoice is lessened by.
    CreditNote,
}

/// How an invoice is paid.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Payment {
    /// It was paid by a card.
    Card,
    /// It was paid elsewhere.
    External,
    /// It is to be paid within the customer's terms.
    Account,
}

/// An invoice or a credit note. The amounts of both are positive.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invoice")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InvoiceId,
    /// What it is.
    pub kind: Kind,
    /// Whose series it is numbered in.
    pub legal_entity_id: LegalEntityId,
    /// Its place in the series.
    pub number: i64,
    /// What people call it: the series' prefix and the number; unique.
    #[sea_orm(unique)]
    pub name: String,
    /// The order.
    pub order_id: OrderId,
    /// The order's channel.
    pub channel_id: ChannelId,
    /// The shipment that it charges for; each has one invoice.
    pub shipment_id: ShipmentId,
    /// The invoice that a credit note corrects.
    pub corrects_id: Option<InvoiceId>,
    /// Why it is corrected.
    pub reason: Option<String>,
    /// How it is paid.
    pub payment: Payment,
    /// The last day to pay it, if it is not paid yet.
    pub due_on: Option<Date>,
    /// The currency of every amount of it.
    pub currency: Currency,
    /// Who sells, as it was.
    #[sea_orm(column_type = "JsonBinary")]
    pub seller: Json,
    /// Who buys, as it was.
    #[sea_orm(column_type = "JsonBinary")]
    pub buyer: Json,
    /// Where it was delivered, as it was.
    #[sea_orm(column_type = "JsonBinary")]
    pub delivered_to: Json,
    /// The language that it is written in: `de-AT`, `en` …
    pub language: String,
    /// Without tax, in minor units.
    pub net_minor: i64,
    /// The tax, in minor units.
    pub tax_minor: i64,
    /// What the total is rounded by, in minor units; mostly zero.
    pub rounding_minor: i64,
    /// In all, in minor units: net + tax + rounding.
    pub total_minor: i64,
    /// The day that stands on it, where the merchant lives.
    pub issued_on: Date,
    /// The day on which it was supplied.
    pub supplied_on: Option<Date>,
    /// When it was issued.
    pub issued_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
