//! Where orders come from, and the policies that each place follows.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, Currency, Rate, TimeZone};

/// Whether the prices of a channel contain the tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaxMode {
    /// Prices are gross: the tax is taken out of them.
    Inclusive,
    /// Prices are net: the tax is added to them.
    Exclusive,
}

/// How an amount between two minor units is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RoundingMode {
    /// Half a minor unit goes away from zero.
    HalfUp,
    /// Half a minor unit goes to the even neighbour (banker's rounding).
    HalfEven,
}

/// What the tax is rounded on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RoundingScope {
    /// Once on the whole line.
    PerLine,
    /// On one unit, then multiplied by the quantity.
    PerUnit,
}

/// What happens to an order that fails a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailedCheckPolicy {
    /// The order is kept, with a blocking exception for a person to resolve.
    Review,
    /// The order is refused with a coded error, and nothing is kept.
    Refuse,
}

/// A storefront, marketplace, partner or desk that orders come from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChannelId,
    /// Its name in feeds and imports; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// The currency of its prices; an order in another one is refused.
    pub currency: Currency,
    /// Where its merchant lives: what "late in the day" means there.
    pub time_zone: TimeZone,
    /// Whether its prices contain the tax.
    pub tax_mode: TaxMode,
    /// How its tax and discounts are rounded.
    pub rounding_mode: RoundingMode,
    /// What its tax is rounded on.
    pub rounding_scope: RoundingScope,
    /// The largest difference between a submitted price or total and ours that is no exception,
    /// in minor units.
    pub price_tolerance_minor: i64,
    /// What happens to an order that fails a check.
    pub failed_check_policy: FailedCheckPolicy,
    /// Whether an order may be staged only with authorised ≥ due.
    pub requires_authorization: bool,
    /// How long a soft hold lives before confirmation, in seconds.
    pub reservation_ttl_secs: i64,
    /// How long after its release an order should be dispatched, in seconds.
    pub dispatch_within_secs: i64,
    /// Whether it takes orders at present.
    pub active: bool,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// What decides between warehouses, most important first: names of routing rules.
    #[sea_orm(column_type = "JsonBinary")]
    pub routing: Json,
    /// How long after it left a shipment should be scanned by its carrier, in seconds; 0 = nobody
    /// looks.
    pub pickup_within_secs: i64,
    /// How long a capture that came to nothing waits for its next try, in seconds.
    pub capture_retry_secs: i64,
    /// Whether what is set aside is set aside afresh by itself before it runs out.
    pub reauthorizes: bool,
    /// How long after its carrier had it a shipment of which nothing else is heard is taken for
    /// delivered, in seconds.
    pub completes_after_secs: i64,
    /// How long after its last change an order that is over is put away, in seconds.
    pub archives_after_secs: i64,
    /// How many days after its delivery something may be returned; 0 = nothing may.
    pub return_window_days: i64,
    /// What is kept of a returned unit's price, as a factor, if it comes back for no fault of the
    /// merchant's.
    pub restocking_fee: Rate,
    /// Whether what the delivery was charged goes back when everything does.
    pub refunds_delivery: bool,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
