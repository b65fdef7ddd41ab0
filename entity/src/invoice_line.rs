//! The lines of invoices and credit notes.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{InvoiceId, LineId, Rate};

/// What is charged for.
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
    /// Units of an order's line.
    Item,
    /// Bringing them.
    Delivery,
}

/// How a line is taxed, by the standard's categories.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaxCategory {
    /// At a rate above zero.
    Standard,
    /// At a rate of zero.
    Zero,
    /// The buyer is exempt.
    Exempt,
    /// Supplied to a business in another country of the European Union.
    IntraCommunity,
    /// Supplied to a country outside the European Union.
    Export,
}

/// A line. Its amounts are without tax, but for the tax.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invoice_line")]
pub struct Model {
    /// The invoice.
    #[sea_orm(primary_key, auto_increment = false)]
    pub invoice_id: InvoiceId,
    /// Its place, from 1. A line of a credit note has that of the line that it lessens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// What is charged for.
    pub kind: Kind,
    /// The order's line; none = the delivery.
    pub line_id: Option<LineId>,
    /// The SKU; blank for the delivery.
    pub sku: String,
    /// What it is called.
    pub title: String,
    /// How many units; 0 = an amount is given back, and no unit.
    pub quantity: i64,
    /// What comes off, in minor units; the net amount is what is left.
    pub discount_minor: i64,
    /// What is charged, in minor units.
    pub net_minor: i64,
    /// How it is taxed.
    pub tax_category: TaxCategory,
    /// The tax rate: 0.19 is 19 %.
    pub tax_rate: Rate,
    /// The tax, in minor units.
    pub tax_minor: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
