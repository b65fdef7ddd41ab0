//! Price lists: for a channel, a group of customers, a time.

use sea_orm::entity::prelude::*;

use crate::{ChannelId, Currency, PriceListId};

/// A price list. Among those that fit an order, the highest rank that has the variant decides.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "price_list")]
pub struct Model {
    /// Its identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PriceListId,
    /// Its name in feeds; unique.
    #[sea_orm(unique)]
    pub code: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// The one channel that it is for; none = all.
    pub channel_id: Option<ChannelId>,
    /// The one group of customers that it is for; none = all.
    pub group_code: Option<String>,
    /// Higher wins.
    pub rank: i32,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTimeUtc>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTimeUtc>,
}

/// Joins are written where they are read.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
