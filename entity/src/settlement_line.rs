//! Single lines of settlements.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    ChannelId, Currency, DisputeId, OrderId, SettlementId, SettlementLineId, TransactionId,
};

/// What a line is about.
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
    /// Money that was taken.
    Charge,
    /// A part of it that was not taken after all.
    ChargeReversal,
    /// Money that was given back.
    Refund,
    /// A refund that came back.
    RefundReversal,
    /// Money that a bank took back.
    Chargeback,
    /// A chargeback that came back.
    ChargebackReversal,
    /// What the gateway keeps by itself.
    Fee,
    /// What was paid out: the total of the other lines, the other way.
    Payout,
    /// Anything else.
    Other,
}

/// A line. It never changes, but for what it is found to be about.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settlement_line")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SettlementLineId,
    /// The file that it first came in.
    pub settlement_id: SettlementId,
    /// Whose.
    pub gateway: String,
    /// The gateway's name for the line; the database keeps it unique there.
    pub reference: String,
    /// The row in the file, counted from 1.
    pub row_number: i64,
    /// What it is about.
    pub kind: Kind,
    /// The gateway's names for what it is about, the best first.
    #[sea_orm(column_type = "JsonBinary")]
    pub names: Json,
    /// Our capture or refund.
    pub transaction_id: Option<TransactionId>,
    /// The dispute.
    pub dispute_id: Option<DisputeId>,
    /// The order.
    pub order_id: Option<OrderId>,
    /// The order's channel.
    pub channel_id: Option<ChannelId>,
    /// What it brings before fees, in minor units; below 0, what it takes.
    pub gross_minor: i64,
    /// What the gateway keeps of it.
    pub fee_minor: i64,
    /// What is left.
    pub net_minor: i64,
    /// The currency of all three.
    pub currency: Currency,
    /// The gateway's name for the payout that it is part of.
    pub payout: Option<String>,
    /// When it happened there.
    pub occurred_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
