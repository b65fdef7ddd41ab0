//! Which places have which postal codes: the reference that addresses are checked against.

use sea_orm::entity::prelude::*;

/// A place with one of its postal codes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "postal_code")]
pub struct Model {
    /// ISO 3166-1 alpha-2.
    #[sea_orm(primary_key, auto_increment = false)]
    pub country: String,
    /// The code without blanks and dashes, in upper case.
    #[sea_orm(primary_key, auto_increment = false)]
    pub postal_key: String,
    /// The place without case, accents and punctuation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub place_key: String,
    /// The code as it is written.
    pub postal_code: String,
    /// The place as it is written.
    pub place_name: String,
    /// State, province or county.
    pub admin_name: Option<String>,
    /// Its code.
    pub admin_code: Option<String>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
