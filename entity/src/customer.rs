//! Those who buy.

use sea_orm::entity::prelude::*;

use crate::{Currency, CustomerId};

/// A customer with its terms. Orders of guests have none.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customer")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CustomerId,
    /// Its name in feeds and imports; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// A person's or company's name.
    pub name: String,
    /// Where notices go.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// The group whose prices it gets.
    pub group_code: Option<String>,
    /// Whether it is charged no tax.
    pub tax_exempt: bool,
    /// Days that it has to pay an invoice; none = it pays at once.
    pub terms_days: Option<i32>,
    /// How much it may owe, in minor units; none = it has no account.
    pub credit_limit_minor: Option<i64>,
    /// The currency of its account.
    pub credit_currency: Option<Currency>,
    /// What its orders on account come to, less what was paid or taken back of them, in minor units;
    /// changed only under its row lock.
    pub credit_used_minor: i64,
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
