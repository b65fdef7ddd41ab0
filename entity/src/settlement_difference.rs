//! Where settlements and what we know differ.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ledger_entry::Account;
use crate::{
    ChannelId, Currency, OrderId, SettlementDifferenceId, SettlementId, SettlementLineId,
    TransactionId,
};

/// What differs.
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
    /// The fee is not what is agreed.
    Fee,
    /// Money was captured, and no line has come for it.
    Missing,
    /// A line is about nothing that we know.
    Unknown,
    /// A line is in another currency than the money was taken in.
    OtherCurrency,
    /// A bank took money back, and we know of no dispute, or of another amount.
    Chargeback,
    /// A line has another amount.
    WrongAmount,
    /// More than one line is about the same.
    Duplicate,
    /// A refund is none that we know.
    Refund,
    /// The lines of a payout do not add up to it.
    Payout,
}

/// Whether somebody has to look.
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
    /// Nobody has settled it.
    Open,
    /// It is settled.
    Resolved,
}

/// A difference. An open one follows from the lines that there are; a settled one stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settlement_difference")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SettlementDifferenceId,
    /// Whose.
    pub gateway: String,
    /// What differs.
    pub kind: Kind,
    /// What it is about: `transaction:…`, `dispute:…`, `line:…` or `payout:…`.
    pub subject: String,
    /// The file that it was found in.
    pub settlement_id: Option<SettlementId>,
    /// The line, if it is about one.
    pub line_id: Option<SettlementLineId>,
    /// Our capture or refund.
    pub transaction_id: Option<TransactionId>,
    /// The order.
    pub order_id: Option<OrderId>,
    /// The order's channel.
    pub channel_id: Option<ChannelId>,
    /// What should be there, in minor units.
    pub expected_minor: i64,
    /// The currency of that.
    pub expected_currency: Currency,
    /// What is there, in minor units.
    pub found_minor: i64,
    /// The currency of that.
    pub currency: Currency,
    /// Whether somebody has to look.
    pub state: State,
    /// How it was settled.
    pub note: Option<String>,
    /// The account that it was written off to.
    pub written_off_to: Option<Account>,
    /// Who settled it.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: Option<DateTimeUtc>,
    /// When it was found.
    pub opened_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
