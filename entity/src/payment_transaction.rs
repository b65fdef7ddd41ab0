//! Single effects at a payment gateway.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{OrderId, PaymentId, ShipmentId, TransactionId};

/// What is asked of the gateway.
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
    /// Set an amount aside.
    Authorization,
    /// Take it.
    Capture,
    /// Give it back before it was taken.
    Void,
    /// Give it back after it was taken.
    Refund,
}

/// What is known of the answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Not asked yet.
    Ready,
    /// Asked; the answer is under way.
    Sent,
    /// No definite answer; it will be asked about, never asked for again.
    Unknown,
    /// Done.
    Succeeded,
    /// Refused.
    Declined,
    /// The gateway never did it.
    NotExecuted,
}

/// One effect. Its id is the idempotency key at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "payment_transaction")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TransactionId,
    /// The payment that it is part of.
    pub payment_id: PaymentId,
    /// The order that it pays.
    pub order_id: OrderId,
    /// What is asked.
    pub kind: Kind,
    /// How much, in minor units; above 0.
    pub amount_minor: i64,
    /// What is known.
    pub state: State,
    /// The token of the card at the gateway.
    pub instrument: Option<String>,
    /// How often the gateway was called.
    pub attempts: i32,
    /// When it was first asked.
    pub first_sent_at: Option<DateTimeUtc>,
    /// When to ask about it again.
    pub next_check_at: Option<DateTimeUtc>,
    /// The gateway's name for it.
    pub gateway_reference: Option<String>,
    /// Why it was refused.
    pub decline_code: Option<String>,
    /// When it was intended.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
    /// The shipment that a capture is for.
    pub shipment_id: Option<ShipmentId>,
    /// The authorisation that is captured from or given back; of a refund, the capture.
    pub source_id: Option<TransactionId>,
    /// When an authorisation runs out.
    pub expires_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
