//! Imports of orders from files.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, ImportId};

/// Where an import stands.
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
    /// Rows are being taken.
    Running,
    /// Every row was taken or refused.
    Completed,
    /// It stopped; repeating it goes on where it ended.
    Failed,
}

/// One run over a file. Repeating it changes nothing: rows are known by their external reference.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    /// The file's name.
    pub source: String,
    /// `csv`, `jsonl` or the name of a mapping.
    pub format: String,
    /// The channel that the orders belong to.
    pub channel_id: ChannelId,
    /// Where it stands.
    pub status: Status,
    /// Orders read so far.
    pub processed: i64,
    /// Orders taken, flagged ones included.
    pub accepted: i64,
    /// Orders that were there already.
    pub replayed: i64,
    /// Orders refused with a coded error.
    pub refused: i64,
    /// Who started it.
    pub started_by: String,
    /// When it started.
    pub started_at: DateTimeUtc,
    /// When it ended.
    pub finished_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
