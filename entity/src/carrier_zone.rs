//! Where a carrier's rates differ.

use sea_orm::entity::prelude::*;

use crate::{CarrierId, CarrierZoneId};

/// A part of the world that has rates of its own at a carrier.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carrier_zone")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CarrierZoneId,
    /// The carrier.
    pub carrier_id: CarrierId,
    /// Its name in feeds; unique at its carrier.
    pub code: String,
    /// ISO 3166-1 alpha-2 codes, as a JSON array; `["*"]` = every country that no other zone has.
    #[sea_orm(column_type = "JsonBinary")]
    pub countries: Json,
    /// What postal codes begin with there, as a JSON array; empty = whole countries.
    #[sea_orm(column_type = "JsonBinary")]
    pub postal_prefixes: Json,
    /// The countries of the warehouses that it is for, as a JSON array; empty = every one that has
    /// no zone of its own.
    #[sea_orm(column_type = "JsonBinary")]
    pub from_countries: Json,
    /// How many delivery days more than the service says it takes there.
    pub extra_days: i32,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
