//! What is wrong with an order and waits for a person.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ExceptionId, ExceptionRuleId, LineId, OrderId};

/// Where an exception stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Nobody has taken it.
    Open,
    /// Somebody has.
    Assigned,
    /// It is settled; what it stopped may go on.
    Resolved,
    /// It was no exception.
    Dismissed,
}

/// How bad it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Money or stock is at stake.
    Critical,
}

/// An exception. A blocking one stops its order, and only its order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order_exception")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExceptionId,
    /// The order that it is on.
    pub order_id: OrderId,
    /// The line, if it is about one.
    pub line_id: Option<LineId>,
    /// What is wrong: `PRICE_MISMATCH`, `ADDRESS_INVALID` …
    pub code: String,
    /// The rule that made it, which may be gone since; none = a check found it.
    pub rule_id: Option<ExceptionRuleId>,
    /// The rule's version then.
    pub rule_version: Option<i64>,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it stops the order.
    pub blocking: bool,
    /// Where it stands.
    pub status: Status,
    /// The team whose it is.
    pub queue: String,
    /// Who has taken it.
    pub owner: Option<String>,
    /// What is wrong, in a sentence.
    pub summary: String,
    /// The facts: both values, who holds what.
    #[sea_orm(column_type = "JsonBinary")]
    pub details: Json,
    /// What may be done about it, as an array of names.
    #[sea_orm(column_type = "JsonBinary")]
    pub suggested_actions: Json,
    /// When it was found.
    pub opened_at: DateTimeUtc,
    /// When it should be settled.
    pub due_at: DateTimeUtc,
    /// Since when its owner has it.
    pub assigned_at: Option<DateTimeUtc>,
    /// Until when it is out of sight; woken then. Its due time stays.
    pub snoozed_until: Option<DateTimeUtc>,
    /// When it was settled.
    pub resolved_at: Option<DateTimeUtc>,
    /// Who settled it.
    pub resolved_by: Option<String>,
    /// How.
    pub resolution: Option<String>,
    /// How many seconds it took to settle it.
    pub settled_secs: Option<i64>,
    /// The settled exception that it opens again.
    pub reopens_id: Option<ExceptionId>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
