//! Keys of programs and of people's tools; only a keyed hash of the secret is stored.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ApiKeyId;

/// What a key may do; each role is a set of scopes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Everything.
    Admin,
    /// Orders, exceptions, stock and catalogue.
    Operations,
    /// Stock and fulfilment of its warehouses.
    Warehouse,
    /// Orders and customers, without stock.
    Support,
    /// Payments and figures.
    Finance,
    /// Its own channels: submit and follow orders.
    Partner,
    /// Reads, without personal data.
    Viewer,
}

/// One key. The secret is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// The public part, by which it is found.
    #[sea_orm(unique)]
    pub lookup: String,
    /// HMAC-SHA-256 of the secret under the server's pepper, in hexadecimal.
    pub secret_hash: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The channel ids that it sees, as a JSON array; none = all.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub channels: Option<Json>,
    /// The first moment that it is refused.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTimeUtc>,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
