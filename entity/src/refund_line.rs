//! What refunds are made of.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{LineId, OrderId, RefundId, ShipmentId};

/// What of a refund is for units of a line of a shipment, for its delivery, or for the shipment as such.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "refund_line")]
pub struct Model {
    /// The refund.
    #[sea_orm(primary_key, auto_increment = false)]
    pub refund_id: RefundId,
    /// Its place, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The order.
    pub order_id: OrderId,
    /// The shipment whose money it is.
    pub shipment_id: ShipmentId,
    /// The order's line; none = the delivery, or an amount for no units.
    pub line_id: Option<LineId>,
    /// How many units.
    pub quantity: i64,
    /// How much goes back, in minor units.
    pub amount_minor: i64,
    /// What was kept of it, in minor units.
    pub fee_minor: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
