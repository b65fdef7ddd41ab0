//! The lines of returns.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{LineId, OrderId, ReturnId, ReturnLineId};

/// Why something comes back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// It is not wanted any more.
    NoLongerWanted,
    /// It does not fit.
    WrongSize,
    /// It does not work.
    Defective,
    /// It came broken.
    Damaged,
    /// It is not what was promised.
    NotAsDescribed,
    /// Something else came.
    WrongItem,
    /// It came too late.
    TooLate,
    /// Something else; see the note.
    Other,
}

/// Units of an order's line that come back.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "return_line")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReturnLineId,
    /// The return.
    pub return_id: ReturnId,
    /// Its order.
    pub order_id: OrderId,
    /// The order's line; once a return.
    pub line_id: LineId,
    /// Its place on the return, from 0.
    pub position: i32,
    /// How many units are to come.
    pub quantity: i64,
    /// How many have come.
    pub received: i64,
    /// How many have been paid for.
    pub refunded: i64,
    /// Why.
    pub reason: Reason,
    /// What was written to that.
    pub note: Option<String>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
