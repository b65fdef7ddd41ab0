//! Who states how many units lie in a warehouse: a warehouse management system, a store, a
//! partner's feed.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::StockSourceId;

/// What a source is.
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
    /// A warehouse management system.
    Wms,
    /// The till of a store.
    Store,
    /// The feed of a partner.
    Partner,
}

/// What becomes of a source's stock while the source is stale.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Policy {
    /// People hear of it; all of the stock is promised as before.
    AlertOnly,
    /// A part of the stock is kept back, the more the older the figures are.
    Buffer,
    /// Nothing of the stock is promised.
    NotSellable,
}

/// A source. Its figures are stale when the newest is older than its budget.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_source")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: StockSourceId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name on screens.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How old its newest figures may be, in seconds.
    pub budget_secs: i64,
    /// What becomes of its stock while it is stale.
    pub policy: Policy,
    /// What BUFFER keeps back for each budget that has gone by, in percent of the units on hand.
    pub buffer_percent: i64,
    /// The most that BUFFER keeps back, in percent.
    pub buffer_cap_percent: i64,
    /// How long its figures may all stay the same before somebody looks, in seconds; none = for
    /// ever.
    pub still_after_secs: Option<i64>,
    /// Whether it is listened to and watched.
    pub active: bool,
    /// When its newest figures were true; none = it has said nothing yet.
    pub observed_at: Option<DateTimeUtc>,
    /// When it was last heard of.
    pub received_at: Option<DateTimeUtc>,
    /// The version of its newest feed, where it counts them.
    pub feed_version: Option<i64>,
    /// When a figure of its last was another than before; its own time.
    pub changed_at: Option<DateTimeUtc>,
    /// Since when it is stale; none = it is not.
    pub stale_since: Option<DateTimeUtc>,
    /// How much of its stock is kept back now, in percent of the units on hand.
    pub withheld_percent: i64,
    /// Since when its figures have been the same for too long; none = they have not.
    pub still_since: Option<DateTimeUtc>,
    /// How many SKUs of its warehouses its last full snapshot left out.
    pub missing: i64,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
