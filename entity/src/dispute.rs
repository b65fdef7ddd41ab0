//! What customers ask their banks to take back.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Currency, DisputeId, OrderId, TransactionId};

/// How it stands.
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
    /// The money is gone, and may come back.
    Open,
    /// It came back.
    Won,
    /// It did not.
    Lost,
}

/// A dispute over captured money.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DisputeId,
    /// The order.
    pub order_id: OrderId,
    /// The capture that is disputed.
    pub transaction_id: TransactionId,
    /// Through whom.
    pub gateway: String,
    /// The gateway's name for it; the database keeps it unique there.
    pub reference: String,
    /// How much, in minor units; above 0.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// The gateway's reason.
    pub reason: String,
    /// How it stands.
    pub state: State,
    /// When we heard of it.
    pub opened_at: DateTimeUtc,
    /// When we heard how it ended.
    pub closed_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
