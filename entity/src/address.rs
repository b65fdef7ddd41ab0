//! Postal addresses, each with the verdict of its verification kept beside the original.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{AddressId, CustomerId};

/// What the verification of an address found.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// The address is right as it stands.
    Valid,
    /// The address is wrong in a way with one repair: see the suggestion.
    Corrected,
    /// Several addresses could be meant.
    Ambiguous,
    /// A rule of the country or the reference data is broken.
    Invalid,
    /// Nothing is known against it, and nothing for it.
    Unverified,
}

/// An address as it was given; never changed, so that an order keeps what its customer wrote.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "address")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AddressId,
    /// The customer whose address book holds it; none = it belongs to an order.
    pub customer_id: Option<CustomerId>,
    /// Who receives.
    pub name: String,
    /// The company, if any.
    pub organisation: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Floor, flat, building.
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county, as given.
    pub region: Option<String>,
    /// The postal code, as given.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// E.164.
    pub phone: Option<String>,
    /// What the verification found.
    pub verdict: Verdict,
    /// The repaired address, when there is exactly one.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub suggestion: Option<Json>,
    /// Why, per field: an array of `{field, code, message}`.
    #[sea_orm(column_type = "JsonBinary")]
    pub reasons: Json,
    /// Whether it is a post-office box, which some carriers refuse.
    pub po_box: bool,
    /// When it was taken.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
