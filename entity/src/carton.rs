//! Cartons: what parcels are packed in.

use sea_orm::entity::prelude::*;

use crate::CartonId;

/// A kind of carton.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carton")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CartonId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// Inner length, in millimetres.
    pub length_mm: i32,
    /// Inner width, in millimetres.
    pub width_mm: i32,
    /// Inner height, in millimetres.
    pub height_mm: i32,
    /// What it weighs empty, in grams.
    pub tare_grams: i64,
    /// What it may weigh full, in grams.
    pub max_grams: i64,
    /// Whether it is packed in.
    pub active: bool,
    /// +1 with every change.
    pub version: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
