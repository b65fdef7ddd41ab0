//! What shipments owe, each once.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{OrderId, PaymentId, ShipmentId};

/// What is due for a shipment, from the moment that its carrier has it. The database holds
/// `captured <= amount`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "charge")]
pub struct Model {
    /// The shipment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub shipment_id: ShipmentId,
    /// Its order.
    pub order_id: OrderId,
    /// The payment that it is captured from.
    pub payment_id: PaymentId,
    /// Its place among the charges of the order, from 0.
    pub position: i32,
    /// Its share of the order's total, in minor units of the order's currency.
    pub amount_minor: i64,
    /// What of that was captured, in minor units.
    pub captured_minor: i64,
    /// How often a capture was tried for it.
    pub attempts: i32,
    /// When it is tried again by itself; none = one is under way, it is captured, or it was given
    /// up.
    pub next_try_at: Option<DateTimeUtc>,
    /// When it came to be due.
    pub opened_at: DateTimeUtc,
    /// When the last of it was captured.
    pub captured_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
