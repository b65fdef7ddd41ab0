//! Actions on many orders at once: which, by whom, and where they stand.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::BulkOperationId;

/// What is done to each order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// It is cancelled.
    Cancel,
    /// It is stopped.
    Hold,
    /// Every hold that stands on it is lifted.
    ReleaseHold,
    /// Its gates are tried again, and it is released to staging if all are green.
    Confirm,
    /// Its open exceptions are given to somebody.
    Assign,
    /// Tags are put on it.
    AddTags,
    /// Tags are taken off it.
    RemoveTags,
}

/// Where an operation stands.
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
    /// Rows wait to be done.
    Running,
    /// Every row has its outcome.
    Completed,
    /// Somebody stopped it; what was done stays done.
    Cancelled,
}

/// One action on a selection that was taken when it began.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bulk_operation")]
pub struct Model {
    /// Its identifier; the correlation id of what it does.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BulkOperationId,
    /// What is done.
    pub action: Action,
    /// What the action needs besides the order, by its fields; null if it needs nothing.
    #[sea_orm(column_type = "JsonBinary")]
    pub input: Json,
    /// Whether it only says what it would come to.
    pub dry_run: bool,
    /// Where it stands.
    pub state: State,
    /// How many orders were selected.
    pub total: i64,
    /// The channels that its starter was confined to, as a list; none = all.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub channels: Option<Json>,
    /// Who started it; each order is changed in that name.
    pub started_by: String,
    /// When.
    pub started_at: DateTimeUtc,
    /// When its last row was done, or it was stopped.
    pub finished_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
