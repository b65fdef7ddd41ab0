//! What an order's money has come to. Amounts are reserved here before a gateway is asked.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Currency, OrderId, PaymentId};

/// The payment of an order. The database holds `captured + capture_pending <= authorized` and
/// `refunded + refund_pending <= captured`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "payment")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentId,
    /// The order that it pays.
    #[sea_orm(unique)]
    pub order_id: OrderId,
    /// Who moves the money: `sandbox`, `account`, `external`.
    pub gateway: String,
    /// The currency of every amount of it.
    pub currency: Currency,
    /// What may be captured, in minor units.
    pub authorized_minor: i64,
    /// What is being captured, in minor units.
    pub capture_pending_minor: i64,
    /// What was captured, in minor units.
    pub captured_minor: i64,
    /// What is being refunded, in minor units.
    pub refund_pending_minor: i64,
    /// What was refunded, in minor units.
    pub refunded_minor: i64,
    /// Whether the authorisation was given back.
    pub voided: bool,
    /// When the authorisation runs out.
    pub authorization_expires_at: Option<DateTimeUtc>,
    /// When it was opened.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
