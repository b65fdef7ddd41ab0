//! What carriers say of parcels.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::shipment::TrackingStatus;
use crate::{PackageId, TrackingEventId};

/// Something that a carrier said, kept once however often it was said.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "tracking_event")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TrackingEventId,
    /// The carrier's code.
    pub carrier: String,
    /// The parcel's name at the carrier.
    pub tracking_number: String,
    /// The parcel; none = none has that name yet.
    pub package_id: Option<PackageId>,
    /// What it means.
    pub status: TrackingStatus,
    /// What the carrier calls it.
    pub code: String,
    /// Where.
    pub place: Option<String>,
    /// When it happened.
    pub occurred_at: DateTimeUtc,
    /// When we heard of it.
    pub received_at: DateTimeUtc,
    /// What tells it from everything else that was said; unique.
    #[sea_orm(unique)]
    pub identity: String,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
