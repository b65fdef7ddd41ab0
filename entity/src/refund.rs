//! Money that was decided to be given back.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{OrderId, RefundId, ReturnId};

/// A refund. It is one decision; the gateway may be asked for it by several effects.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "refund")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// The return that it is for; none = nothing comes back for it.
    pub return_id: Option<ReturnId>,
    /// How much goes back, in minor units.
    pub amount_minor: i64,
    /// What was kept of it for restocking, in minor units.
    pub fee_minor: i64,
    /// Why, if nothing comes back for it.
    pub reason: Option<String>,
    /// Why it was paid before what became of the units was known.
    pub override_reason: Option<String>,
    /// Who decided on it.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
