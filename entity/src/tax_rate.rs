//! Tax rates by destination and category.

use sea_orm::entity::prelude::*;

use crate::{Rate, TaxRateId};

/// A rate. The region's own beats the country's.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tax_rate")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TaxRateId,
    /// ISO 3166-1 alpha-2 of the destination.
    pub country: String,
    /// The state or province; none = the whole country.
    pub region: Option<String>,
    /// What is taxed: `STANDARD`, `REDUCED`, `SHIPPING` …
    pub category: String,
    /// 0.19 is 19 %.
    pub rate: Rate,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTimeUtc>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
