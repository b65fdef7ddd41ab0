//! Holds: each stops the release of its order until its owner lifts it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{HoldId, OrderId};

/// A hold on an order.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "hold")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// The order that it stops.
    pub order_id: OrderId,
    /// Why.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: DateTimeUtc,
    /// Who lifted it.
    pub released_by: Option<String>,
    /// When; none = it stands.
    pub released_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
