//! Files of what gateways say that they have paid out.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::SettlementId;

/// Where a run over a file stands.
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
    /// Lines are being taken.
    Running,
    /// Every line was taken or refused, and held against what we know.
    Completed,
    /// It stopped; repeating it goes on where it ended.
    Failed,
}

/// A file, once however often it comes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "settlement")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SettlementId,
    /// Whose.
    pub gateway: String,
    /// The format's name.
    pub format: String,
    /// The file's name.
    pub source: String,
    /// SHA-256 of the content, in hexadecimal.
    pub content_hash: String,
    /// Where it stands.
    pub status: Status,
    /// Lines read so far.
    pub processed: i64,
    /// Lines that were new.
    pub accepted: i64,
    /// Lines that were there already.
    pub replayed: i64,
    /// Lines refused with a coded error.
    pub refused: i64,
    /// Who started it.
    pub started_by: String,
    /// When it was first started.
    pub started_at: DateTimeUtc,
    /// When it ended.
    pub finished_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
