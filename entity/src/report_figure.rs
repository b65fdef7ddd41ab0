//! What happened in each quarter of an hour, added up from the log.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, WarehouseId};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum Measure {
    /// Orders that came in; the amount is their totals, in minor units.
    Received,
    /// Orders that were called off, refused or never paid; the amount is their totals, in minor
    /// units.
    Cancelled,
    /// Units that were there when their order came.
    UnitsHeld,
    /// Units that were not.
    UnitsBackordered,
    /// Orders that came to a stage, the detail.
    StageEntered,
    /// Orders that left a stage, the detail; the bin is how long they stood there.
    StageLeft,
    /// Exceptions that were opened; the detail is their code.
    ExceptionOpened,
    /// Exceptions that were settled; the detail is their code, the bin how long they waited.
    ExceptionSettled,
    /// Units that were scanned where they should be; the detail is the station.
    UnitsScanned,
    /// Scans that were refused; the detail is why.
    ScanRefused,
    /// Units that were not in their bin.
    UnitsShort,
    /// Shipments that left; the detail is whether in time, the amount their units.
    Dispatched,
    /// Shipments that arrived; the bin is how long they were under way.
    Delivered,
    /// Lines of returns that were asked for; the detail is the reason, the amount their units.
    ReturnAsked,
    /// What was found of returned units; the detail is what became of them, the amount how many.
    ReturnFound,
}

/// One sum. What a measure does not know is nil or empty, so that the key is whole.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "report_figure")]
pub struct Model {
    /// Which quarter of an hour since 1970 in UTC: a boundary of every day in every time zone.
    #[sea_orm(primary_key, auto_increment = false)]
    pub quarter: i64,
    /// What is counted.
    #[sea_orm(primary_key, auto_increment = false)]
    pub measure: Measure,
    /// Of which channel.
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_id: ChannelId,
    /// In which warehouse.
    #[sea_orm(primary_key, auto_increment = false)]
    pub warehouse_id: WarehouseId,
    /// By which carrier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub carrier: String,
    /// What else tells sums of the measure apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub detail: String,
    /// Which span of time, for what is measured in time; 0 for the others.
    #[sea_orm(primary_key, auto_increment = false)]
    pub bin: i32,
    /// Of the amount, if it is one of money.
    #[sea_orm(primary_key, auto_increment = false)]
    pub currency: String,
    /// How often it happened.
    pub events: i64,
    /// What it came to: units, or minor units of the currency.
    pub amount: i64,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
