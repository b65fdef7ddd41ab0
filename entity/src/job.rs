//! Work that is owed, written in the transaction that caused it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::JobId;

/// Where a job stands; a job that is done is deleted.
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
    /// It waits for its time or a worker.
    Ready,
    /// It failed too often and waits for a person.
    Dead,
}

/// One owed piece of work. Running it twice has the effect of once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    /// Which worker does it.
    pub kind: String,
    /// What it is about; a kind and subject stand here once.
    pub subject: String,
    /// What the worker needs beyond the subject.
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    /// Not before.
    pub run_at: DateTimeUtc,
    /// Until when a worker has it.
    pub locked_until: Option<DateTimeUtc>,
    /// How often it was begun.
    pub attempts: i32,
    /// Where it stands.
    pub state: State,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// When it was owed.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
