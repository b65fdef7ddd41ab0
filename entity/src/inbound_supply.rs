//! Deliveries that are expected.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{InboundId, VariantId, WarehouseId};

/// Where a delivery stands.
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
    /// Nothing has arrived yet.
    Expected,
    /// Some of it has arrived.
    PartlyReceived,
    /// All of it has arrived.
    Received,
    /// It will not come.
    Cancelled,
}

/// Stock that a supplier has promised.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbound_supply")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InboundId,
    /// What comes.
    pub variant_id: VariantId,
    /// Where to.
    pub warehouse_id: WarehouseId,
    /// How many units were promised.
    pub quantity: i64,
    /// How many have arrived.
    pub received: i64,
    /// When.
    pub expected_at: DateTimeUtc,
    /// From whom.
    pub supplier: Option<String>,
    /// The purchase order.
    pub reference: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it was entered.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
