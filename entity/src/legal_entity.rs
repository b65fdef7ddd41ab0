//! Who sells: the name, the address and the tax numbers that stand on invoices.

use sea_orm::entity::prelude::*;

use crate::LegalEntityId;

/// Who sells. An invoice keeps a copy of it as it was.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "legal_entity")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LegalEntityId,
    /// Its name in settings; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// Its name by law.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// Floor, building.
    pub line2: Option<String>,
    /// The place.
    pub city: String,
    /// State, province or county.
    pub region: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its number for value added tax, with the country in front.
    pub vat_id: Option<String>,
    /// Its number at the tax office.
    pub tax_number: Option<String>,
    /// Its number in the register of companies.
    pub registration: Option<String>,
    /// Where questions go.
    pub email: Option<String>,
    /// A telephone number for questions.
    pub phone: Option<String>,
    /// The account that is paid into.
    pub iban: Option<String>,
    /// The bank of the account.
    pub bic: Option<String>,
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
