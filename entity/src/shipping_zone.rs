//! Where parcels go.

use sea_orm::entity::prelude::*;

use crate::ShippingZoneId;

/// A set of countries that share rates.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shipping_zone")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ShippingZoneId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes, as a JSON array; `["*"]` = every country no other zone has.
    #[sea_orm(column_type = "JsonBinary")]
    pub countries: Json,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
