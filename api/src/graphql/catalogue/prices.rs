//! Price lists and prices on the wire.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result};
use chrono::{DateTime, Utc};
use entity::{ChannelId, price, price_list};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter};

use super::channels::Channel;
use super::products::Variant;
use super::{for_seen_channels, seen_channel_if_any, sees};
use crate::access::Scope;
use crate::catalogue::prices;
use crate::failure::Problem;
use crate::graphql::command::{payloads, run, run_on_reference};
use crate::graphql::filters::{IdFilter, StringFilter, condition, filter};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::load;
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{CurrencyCode, Decimal, Money, minor, money};
use crate::graphql::{Allowed, app};

/// A price list. Among those that fit an order, the one of the highest rank that has the variant
/// decides.
pub struct PriceList(pub price_list::Model);

impl From<price_list::Model> for PriceList {
    fn from(row: price_list::Model) -> Self {
        PriceList(row)
    }
}

/// A price list. Among those that fit an order, the one of the highest rank that has the variant
/// decides.
#[Object]
impl PriceList {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// The currency of its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }

    /// The one channel that it is for; null = all.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel_id {
            Some(id) if sees(ctx, Some(id)) => Ok(load(ctx, id).await?.map(Channel)),
            _ => Ok(None),
        }
    }

    /// The code of the one group of customers that it is for; null = all.
    async fn group_code(&self) -> Option<&str> {
        self.0.group_code.as_deref()
    }

    /// Higher wins.
    async fn rank(&self) -> i32 {
        self.0.rank
    }

    /// The first moment that it is valid; null = always was.
    async fn valid_from(&self) -> Option<DateTime<Utc>> {
        self.0.valid_from
    }

    /// The first moment that it is no longer valid; null = always will be.
    async fn valid_until(&self) -> Option<DateTime<Utc>> {
        self.0.valid_until
    }

    /// Its prices, by least quantity.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn prices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Price>> {
        let rows = price::Entity::find().filter(price::Column::PriceListId.eq(self.0.id));
        let sort = Sort {
            column: price::Column::MinQuantity,
            id: price::Column::VariantId,
            order: Order::Asc,
            key: |row: &price::Model| (row.min_quantity, row.variant_id.0),
        };
        let priced = |row| Price {
            row,
            list: self.0.clone(),
        };
        page(app(ctx), rows, sort, first, after, priced).await
    }
}

/// What a unit of a variant costs from a quantity on.
pub struct Price {
    /// The price.
    pub row: price::Model,
    /// Its list, whose currency it is in.
    pub list: price_list::Model,
}

/// What a unit of a variant costs from a quantity on.
#[Object]
impl Price {
    /// From how many units of an order's line on.
    async fn min_quantity(&self) -> i64 {
        self.row.min_quantity
    }

    /// What each unit then costs. Whether tax is contained is the channel's `taxMode`.
    async fn unit_price(&self) -> Money {
        money(self.row.unit_price_minor, self.list.currency)
    }

    /// The list that it stands in.
    async fn price_list(&self) -> PriceList {
        PriceList(self.list.clone())
    }

    /// What it is the price of.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>> {
        Ok(load(ctx, self.row.variant_id).await?.map(Variant))
    }
}

/// Which price lists. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct PriceListWhere {
    /// By code.
    pub code: Option<StringFilter>,
    /// By the one channel that it is for.
    pub channel_id: Option<IdFilter>,
    /// By the one group of customers that it is for.
    pub group_code: Option<StringFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<PriceListWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<PriceListWhere>>,
    /// This must not match.
    pub not: Option<Box<PriceListWhere>>,
}

filter!(PriceListWhere, |it| [
    it.code.as_ref().map(|f| f.on(price_list::Column::Code)),
    it.channel_id
        .as_ref()
        .map(|f| f.on::<ChannelId>(price_list::Column::ChannelId)),
    it.group_code
        .as_ref()
        .map(|f| f.on(price_list::Column::GroupCode)),
]);

/// Reads of price lists.
#[derive(Default)]
pub struct PriceQuery;

/// Reads of price lists.
#[Object]
impl PriceQuery {
    /// The price lists of the channels that you see, by code. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn price_lists(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<
            PriceListWhere,
        >,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<PriceList>> {
        let rows = price_list::Entity::find()
            .filter(for_seen_channels(ctx, price_list::Column::ChannelId)?)
            .filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: price_list::Column::Code,
            id: price_list::Column::Id,
            order: Order::Asc,
            key: |row: &price_list::Model| (row.code.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, PriceList).await
    }

    /// A price list; null if there is none, or none that you see. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn price_list(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<PriceList>> {
        let Ok(id) = from_global::<entity::PriceListId>(&id, "id") else {
            return Ok(None);
        };
        let row = load(ctx, id).await?;
        Ok(row.filter(|row| sees(ctx, row.channel_id)).map(PriceList))
    }
}

/// What `priceListCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PriceListCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// The currency of its prices; the channel's, if it is for one (CURRENCY_MISMATCH).
    pub currency: CurrencyCode,
    /// The one channel that it is for; all if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// The code of the one group of customers that it is for; all if not given (NOT_FOUND).
    pub group_code: Option<String>,
    /// Higher wins.
    #[graphql(default)]
    pub rank: i32,
    /// The first moment that it is valid.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid.
    pub valid_until: Option<DateTime<Utc>>,
}

impl PriceListCreateInput {
    fn command(self, ctx: &Context<'_>) -> Result<prices::Create, Problem> {
        Ok(prices::Create {
            code: self.code,
            currency: self.currency.0,
            channel_id: seen_channel_if_any(ctx, self.channel_id.as_ref(), "input.channelId")?,
            group_code: self.group_code,
            rank: self.rank,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
        })
    }
}

/// What `priceListUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct PriceListUpdateInput {
    /// Which price list (NOT_FOUND).
    pub id: ID,
    /// Higher wins.
    pub rank: Option<i32>,
    /// The first moment that it is valid; null = always was.
    pub valid_from: MaybeUndefined<DateTime<Utc>>,
    /// The first moment that it is no longer valid; null = always will be.
    pub valid_until: MaybeUndefined<DateTime<Utc>>,
}

impl PriceListUpdateInput {
    fn command(self, list: &price_list::Model) -> prices::Update {
        prices::Update {
            id: list.id,
            rank: self.rank,
            valid_from: self.valid_from.into(),
            valid_until: self.valid_until.into(),
        }
    }
}

/// What a unit costs from a quantity on.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct PriceTierInput {
    /// From how many units of an order's line on: 1 to 1,000,000. One tier begins at 1.
    #[graphql(default = 1)]
    pub min_quantity: i64,
    /// What each unit then costs, in major units of the list's currency (AMOUNT_INVALID).
    pub unit_price: Decimal,
}

/// All the tiers of a variant.
#[derive(Clone, Debug, InputObject)]
pub struct VariantPricesInput {
    /// Which variant (NOT_FOUND).
    pub variant_id: ID,
    /// Its tiers, at most 20; an empty list takes the variant out of the price list.
    #[graphql(validator(max_items = 20))]
    pub tiers: Vec<PriceTierInput>,
}

/// What `priceListSetPrices` needs.
#[derive(Clone, Debug, InputObject)]
pub struct PriceListSetPricesInput {
    /// Which price list (NOT_FOUND).
    pub price_list_id: ID,
    /// The variants whose tiers are replaced, at most 250; the others stay as they are.
    #[graphql(validator(max_items = 250))]
    pub prices: Vec<VariantPricesInput>,
}

impl PriceListSetPricesInput {
    fn command(self, list: &price_list::Model) -> Result<prices::Set, Problem> {
        let mut all = Vec::with_capacity(self.prices.len());
        for (place, prices) in self.prices.into_iter().enumerate() {
            let path = format!("input.prices.{place}");
            let mut tiers = Vec::with_capacity(prices.tiers.len());
            for (tier_place, tier) in prices.tiers.into_iter().enumerate() {
                let field = format!("{path}.tiers.{tier_place}.unitPrice");
                tiers.push(prices::Tier {
                    min_quantity: tier.min_quantity,
                    unit_price_minor: minor(tier.unit_price, list.currency, &field)?,
                });
            }
            all.push(prices::VariantPrices {
                variant_id: from_global(&prices.variant_id, &format!("{path}.variantId"))?,
                tiers,
            });
        }
        Ok(prices::Set {
            price_list_id: list.id,
            prices: all,
        })
    }
}

/// The price list that a caller wants to change, if it sees it.
async fn find(
    ctx: &Context<'_>,
    id: &ID,
    field: &str,
) -> Result<Result<price_list::Model, Problem>> {
    let missing = Problem::not_found("PriceList").at(field);
    Ok(match from_global::<entity::PriceListId>(id, field) {
        Err(problem) => Err(problem),
        Ok(id) => load(ctx, id)
            .await?
            .filter(|row| sees(ctx, row.channel_id))
            .ok_or(missing),
    })
}

payloads! {
    /// What `priceListCreate` came to.
    PriceListCreatePayload {
        /// The new price list; null if it was refused.
        price_list: PriceList
    }
    /// What `priceListUpdate` came to.
    PriceListUpdatePayload {
        /// The price list after the change; null if it was refused.
        price_list: PriceList
    }
    /// What `priceListSetPrices` came to.
    PriceListSetPricesPayload {
        /// The price list after the change; null if it was refused.
        price_list: PriceList
    }
}

/// Changes of price lists.
#[derive(Default)]
pub struct PriceMutation;

/// Changes of price lists.
#[Object]
impl PriceMutation {
    /// Makes a price list without prices. Refusals: CODE_TAKEN, NOT_FOUND, CURRENCY_MISMATCH,
    /// INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn price_list_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the price list is to be.")] input: PriceListCreateInput,
    ) -> Result<PriceListCreatePayload> {
        let cmd = input.command(ctx);
        Ok(run_on_reference(ctx, cmd, prices::create).await?.into())
    }

    /// Changes when a price list is valid, and which it beats. Refusals: NOT_FOUND, INVALID_INPUT.
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn price_list_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: PriceListUpdateInput,
    ) -> Result<PriceListUpdatePayload> {
        let list = find(ctx, &input.id, "input.id").await?;
        let cmd = list.map(|list| input.command(&list));
        Ok(run_on_reference(ctx, cmd, prices::update).await?.into())
    }

    /// Replaces the tiers of some variants in a price list, all or nothing. Refusals: NOT_FOUND,
    /// AMOUNT_INVALID, QUANTITY_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn price_list_set_prices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which price list, and the new prices.")] input: PriceListSetPricesInput,
    ) -> Result<PriceListSetPricesPayload> {
        let list = find(ctx, &input.price_list_id, "input.priceListId").await?;
        let cmd = list.and_then(|list| input.command(&list));
        Ok(run(ctx, cmd, prices::set).await?.into())
    }
}
