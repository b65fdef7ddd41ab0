//! What shipping costs.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, Currency, ShippingRateId, ShippingZoneId};

/// A rate of a service in a zone for a range of weights.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shipping_rate")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ShippingRateId,
    /// Where.
    pub zone_id: ShippingZoneId,
    /// The one channel that it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The service: `STANDARD`, `EXPRESS` …
    pub service_level: String,
    /// From this weight on.
    pub min_weight_grams: i64,
    /// Below this weight; none = without limit.
    pub max_weight_grams: Option<i64>,
    /// The charge, in minor units.
    pub price_minor: i64,
    /// Of the charge.
    pub currency: Currency,
    /// From this order value on it is free; none = never.
    pub free_over_minor: Option<i64>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
