//! Carriers: who takes parcels to customers.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::CarrierId;

/// Who is asked for a carrier's labels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Adapter {
    /// Nobody: rates, numbers and labels are ours, by a contract.
    Table,
    /// EasyPost, which speaks for many carriers.
    Easypost,
}

/// A carrier.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "carrier")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CarrierId,
    /// Its name in feeds, and at EasyPost for one that is asked there; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// Who is asked for its labels.
    pub adapter: Adapter,
    /// Where customers follow a parcel, with `{number}` in it.
    pub tracking_url: Option<String>,
    /// What the numbers that we give begin with.
    pub tracking_prefix: String,
    /// The secret that its messages are signed with; none = it sends none.
    pub webhook_secret: Option<String>,
    /// Whether parcels are given to it.
    pub active: bool,
    /// +1 with every change of it, its services, zones, rates and surcharges.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
