//! What is agreed with gateways.

use sea_orm::entity::prelude::*;

use crate::{Currency, Rate};

/// What is agreed with a gateway. Its row is locked while lines of the gateway are booked.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_terms")]
pub struct Model {
    /// The gateway.
    #[sea_orm(primary_key, auto_increment = false)]
    pub gateway: String,
    /// What it keeps of a charge, as a factor; none = its fees are not looked at.
    pub fee_rate: Option<Rate>,
    /// What it keeps of each charge besides, in minor units.
    pub fee_fixed_minor: i64,
    /// The currency of that; only charges in it are looked at.
    pub fee_currency: Option<Currency>,
    /// How many days after a capture its line may come.
    pub missing_after_days: i32,
    /// +1 with every change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
