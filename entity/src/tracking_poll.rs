//! When carriers are asked about parcels of which they do not speak.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::PackageId;

/// When a carrier is asked about a parcel next.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "tracking_poll")]
pub struct Model {
    /// The parcel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub package_id: PackageId,
    /// Not before this moment.
    pub next_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
