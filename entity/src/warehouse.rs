//! Warehouses.

use sea_orm::entity::prelude::*;

use crate::WarehouseId;

/// A place that stock lies in and parcels leave from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "warehouse")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WarehouseId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Whether it takes work. One that does not serves no channel; what it holds stays held.
    pub active: bool,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// Street and number, for labels.
    pub street: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The place.
    pub city: Option<String>,
    /// E.164, for carriers.
    pub phone: Option<String>,
    /// Whether who has picked a unit may not pack it.
    pub two_person_check: bool,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
