//! What a carrier offers.

use sea_orm::entity::prelude::*;

use crate::{CarrierId, CarrierServiceId, TimeZone, Weekdays};

/// A service of a carrier: how fast, when, and for which parcels.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carrier_service")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CarrierServiceId,
    /// The carrier.
    pub carrier_id: CarrierId,
    /// Its name in feeds, and at EasyPost; unique at its carrier.
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// What customers chose that it fulfils: `STANDARD`, `EXPRESS` …
    pub service_level: String,
    /// When the day's parcels are taken, in minutes after midnight there.
    pub cut_off_minutes: i32,
    /// Whose midnight.
    pub time_zone: TimeZone,
    /// The days on which parcels are taken.
    pub pickup_weekdays: Weekdays,
    /// The days on which parcels are delivered.
    pub delivery_weekdays: Weekdays,
    /// How many delivery days behind the pick-up a parcel arrives.
    pub transit_days: i32,
    /// What a parcel may weigh, in grams; none = anything.
    pub max_grams: Option<i64>,
    /// How long a parcel's longest side may be, in millimetres; none = any length.
    pub max_length_mm: Option<i32>,
    /// What the longest side and the way around the others may add up to, in millimetres.
    pub max_girth_mm: Option<i32>,
    /// How many cubic centimetres count as a kilogram; none = only the scale counts.
    pub volumetric_divisor: Option<i32>,
    /// Whether post-office boxes are served.
    pub po_boxes: bool,
    /// Whether dangerous goods are taken.
    pub dangerous_goods: bool,
    /// The only countries served, of those of the zones, as a JSON array; empty = all of them.
    #[sea_orm(column_type = "JsonBinary")]
    pub only_countries: Json,
    /// Countries not served though a zone has them, as a JSON array.
    #[sea_orm(column_type = "JsonBinary")]
    pub except_countries: Json,
    /// Whether it is chosen.
    pub active: bool,
    /// +1 with every change.
    pub version: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
