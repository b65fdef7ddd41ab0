//! Packages: the parcels of a shipment.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{PackageId, ShipmentId};

/// Where a package stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Things are put into it.
    Open,
    /// It holds what it should, scanned twice.
    Closed,
    /// It was given up.
    Cancelled,
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "package")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PackageId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Its place in the shipment, from 1.
    pub position: i32,
    /// Where it stands.
    pub status: Status,
    /// The code of its carton.
    pub carton: Option<String>,
    /// Outer length, in millimetres.
    pub length_mm: Option<i32>,
    /// Outer width, in millimetres.
    pub width_mm: Option<i32>,
    /// Outer height, in millimetres.
    pub height_mm: Option<i32>,
    /// What its contents and its carton weigh by the catalogue, in grams.
    pub expected_grams: i64,
    /// What it was weighed at, in grams.
    pub weight_grams: Option<i64>,
    /// Its name at the carrier.
    pub tracking_number: Option<String>,
    /// Where the customer can follow it.
    pub tracking_url: Option<String>,
    /// Who packed it.
    pub packer: Option<String>,
    /// When it was opened.
    pub created_at: DateTimeUtc,
    /// When it was closed.
    pub closed_at: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
