//! The lines of an order, with their quantities by state.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{LineId, OrderId, Rate, VariantId};

/// A line. `reserved + allocated + backordered <= quantity - cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "order_line")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LineId,
    /// The order that it is on.
    pub order_id: OrderId,
    /// Its place on the order, from 0.
    pub position: i32,
    /// What was ordered; none = the SKU is not known, which stops the order.
    pub variant_id: Option<VariantId>,
    /// Our SKU, or the submitted one if it is not known.
    pub sku: String,
    /// Our title when it was ordered, or the submitted one.
    pub title: String,
    /// The channel's title.
    pub submitted_title: Option<String>,
    /// How many units were ordered.
    pub quantity: i64,
    /// Units held softly.
    pub reserved: i64,
    /// Units held for good.
    pub allocated: i64,
    /// Units that wait for stock.
    pub backordered: i64,
    /// Units picked.
    pub picked: i64,
    /// Units packed.
    pub packed: i64,
    /// Units that left.
    pub shipped: i64,
    /// Units called off.
    pub cancelled: i64,
    /// Units that came back.
    pub returned: i64,
    /// What a unit is charged at, in minor units: the submitted price if there is one.
    pub unit_price_minor: i64,
    /// What our price list says, in minor units.
    pub list_price_minor: Option<i64>,
    /// How it is taxed.
    pub tax_category: String,
    /// The tax rate: 0.19 is 19 %.
    pub tax_rate: Rate,
    /// Unit price × quantity, in minor units.
    pub subtotal_minor: i64,
    /// Discounts, in minor units.
    pub discount_minor: i64,
    /// Where they come from: `[{promotionId, name, amount}]`, amounts in minor units.
    #[sea_orm(column_type = "JsonBinary")]
    pub discounts: Json,
    /// After discounts, without tax, in minor units.
    pub net_minor: i64,
    /// Tax, in minor units.
    pub tax_minor: i64,
    /// After discounts, with tax, in minor units.
    pub gross_minor: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
