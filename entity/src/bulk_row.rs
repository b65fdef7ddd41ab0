//! What a bulk operation has come to, order by order.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{BulkOperationId, OrderId};

/// What became of an order in an operation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Not done yet.
    Pending,
    /// Done; in a dry run, it would be.
    Changed,
    /// Refused, with a code; nothing was changed.
    Refused,
    /// A fault of ours; nothing was changed.
    Failed,
    /// The operation was stopped before.
    Skipped,
}

/// One order of an operation. Its outcome is written in the transaction that changes the order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bulk_row")]
pub struct Model {
    /// The operation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation_id: BulkOperationId,
    /// Its place: 1, 2, 3 …
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// The order; one that is not there is refused as not found.
    pub order_id: OrderId,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused, for programs.
    pub code: Option<String>,
    /// Why it was refused, for people.
    pub message: Option<String>,
    /// When it was done.
    pub done_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
