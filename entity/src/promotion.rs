//! Promotions: codes and automatic discounts, with exact usage limits.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChannelId, Currency, PromotionId, Rate};

/// What a promotion gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(
    rs_type = "String",
    db_type = "Text",
    rename_all = "SCREAMING_SNAKE_CASE"
)]
pub enum PromotionKind {
    /// A share of the price of the lines that it applies to.
    Percent,
    /// A fixed amount, spread over the lines that it applies to.
    Amount,
    /// The shipping charge.
    FreeShipping,
    /// For every `buy_quantity` units of a line, `get_quantity` more are free.
    BuyXGetY,
}

/// A discount that customers get by a code, or everyone while it runs.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "promotion")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PromotionId,
    /// The code that a customer types, stored in upper case; none = it applies by itself.
    #[sea_orm(unique)]
    pub code: Option<String>,
    /// Its name on orders and screens.
    pub name: String,
    /// The one channel that it runs in; none = all.
    pub channel_id: Option<ChannelId>,
    /// What it gives.
    pub kind: PromotionKind,
    /// The share, 0 to 1, of PERCENT.
    pub percent: Option<Rate>,
    /// The amount, in minor units, of AMOUNT.
    pub amount_minor: Option<i64>,
    /// The currency of its amounts; required for AMOUNT and for a minimum.
    pub currency: Option<Currency>,
    /// How many units of a line must be bought, of BUY_X_GET_Y.
    pub buy_quantity: Option<i32>,
    /// How many more are then free, of BUY_X_GET_Y.
    pub get_quantity: Option<i32>,
    /// The SKUs that it applies to, as a JSON array of strings; none = every line.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub skus: Option<Json>,
    /// The least value of the order's lines before discounts, in minor units.
    pub min_subtotal_minor: i64,
    /// Where it stands in the stacking order: lower first, then by code.
    pub priority: i32,
    /// Whether it refuses to be combined with any other promotion.
    pub exclusive: bool,
    /// How many orders may use it; none = no limit.
    pub usage_limit: Option<i64>,
    /// How many orders use it; the database holds `usage_count <= usage_limit`.
    pub usage_count: i64,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTimeUtc>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTimeUtc>,
    /// Whether it runs.
    pub active: bool,
    /// +1 with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Nothing is related through SeaORM: joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
