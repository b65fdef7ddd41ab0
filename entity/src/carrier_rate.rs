//! What a carrier asks.

use sea_orm::entity::prelude::*;

use crate::{CarrierRateId, CarrierServiceId, CarrierZoneId, Currency};

/// What a parcel costs, up to a weight.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carrier_rate")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CarrierRateId,
    /// The service.
    pub service_id: CarrierServiceId,
    /// Where to.
    pub zone_id: CarrierZoneId,
    /// Of the price.
    pub currency: Currency,
    /// Up to this billable weight, in grams.
    pub up_to_grams: i64,
    /// The price, in minor units.
    pub price_minor: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
