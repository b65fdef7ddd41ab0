//! Searches that people keep under a name.

use sea_orm::entity::prelude::*;

use crate::SavedViewId;

/// A search under a name. It holds the text of a query and not its rows.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "saved_view")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SavedViewId,
    /// Whose it is: `key:…`.
    pub owner: String,
    /// What its owner calls it; unique among the owner's.
    pub name: String,
    /// Whether others see it.
    pub shared: bool,
    /// What it searches for.
    pub query: String,
    /// What its rows are sorted by; none = as usual.
    pub sort_field: Option<SortField>,
    /// Whether the newest come first; none = as usual.
    pub sort_descending: Option<bool>,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it last changed.
    pub updated_at: DateTimeUtc,
}

/// What the rows of a view are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum SortField {
    /// When the order came in.
    ReceivedAt,
    /// When the customer ordered.
    PlacedAt,
    /// When the order last changed.
    UpdatedAt,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
