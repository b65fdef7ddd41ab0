//! What a carrier asks on top.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{CarrierServiceId, Currency, Rate};

/// What a surcharge is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// What fuel costs at present; on every parcel.
    Fuel,
    /// The destination is hard to reach.
    Remote,
    /// The parcel is long, bulky or heavy.
    Oversize,
    /// Nobody is at home for certain.
    Residential,
}

/// A surcharge of a service: an amount, or a part of the rate.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carrier_surcharge")]
pub struct Model {
    /// The service.
    #[sea_orm(primary_key, auto_increment = false)]
    pub service_id: CarrierServiceId,
    /// Its place in the list, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// What it is for.
    pub kind: Kind,
    /// How much of the rate: 0.15 is 15 %.
    pub percent: Option<Rate>,
    /// How much for a parcel, in minor units.
    pub amount_minor: Option<i64>,
    /// Of the amount.
    pub currency: Option<Currency>,
    /// Where it is asked, as a JSON array; empty = everywhere.
    #[sea_orm(column_type = "JsonBinary")]
    pub countries: Json,
    /// What postal codes begin with where it is asked, as a JSON array; empty = any.
    #[sea_orm(column_type = "JsonBinary")]
    pub postal_prefixes: Json,
    /// It is asked for parcels longer than this, in millimetres.
    pub above_length_mm: Option<i32>,
    /// It is asked for parcels whose longest side and way around the others add up to more.
    pub above_girth_mm: Option<i32>,
    /// It is asked for parcels that weigh more than this, in grams.
    pub above_grams: Option<i64>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
