//! Tax rates, shipping zones and shipping rates on the wire.

use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use entity::{Rate, shipping_rate, shipping_zone, tax_rate};
use sea_orm::{EntityTrait, Order, QueryFilter};

use super::channels::Channel;
use super::{country, seen_channel_if_any, sees};
use crate::access::Scope;
use crate::catalogue::shipping;
use crate::failure::Problem;
use crate::graphql::command::{payloads, run_on_reference};
use crate::graphql::filters::{StringFilter, condition, filter};
use crate::graphql::ids::{from_global, to_global};
use crate::graphql::loaders::{RatesOf, load};
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{Decimal, Money, MoneyInput, minor, money};
use crate::graphql::{Allowed, app};

/// The tax rate of a category at a destination. The region's own beats the country's.
pub struct TaxRate(pub tax_rate::Model);

impl From<tax_rate::Model> for TaxRate {
    fn from(row: tax_rate::Model) -> Self {
        TaxRate(row)
    }
}

/// The tax rate of a category at a destination. The region's own beats the country's.
#[Object]
impl TaxRate {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// The country of the destination: ISO 3166-1 alpha-2.
    async fn country(&self) -> &str {
        &self.0.country
    }

    /// The state or province; null = the whole country.
    async fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// What is taxed: `STANDARD`, `SHIPPING` …
    async fn category(&self) -> &str {
        &self.0.category
    }

    /// 0.19 is 19 %.
    async fn rate(&self) -> Decimal {
        Decimal(self.0.rate.0)
    }

    /// The first moment that it is valid; null = always was.
    async fn valid_from(&self) -> Option<DateTime<Utc>> {
        self.0.valid_from
    }

    /// The first moment that it is no longer valid; null = always will be.
    async fn valid_until(&self) -> Option<DateTime<Utc>> {
        self.0.valid_until
    }
}

/// A set of countries that share shipping rates.
pub struct ShippingZone(pub shipping_zone::Model);

impl From<shipping_zone::Model> for ShippingZone {
    fn from(row: shipping_zone::Model) -> Self {
        ShippingZone(row)
    }
}

/// A set of countries that share shipping rates.
#[Object]
impl ShippingZone {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// ISO 3166-1 alpha-2 codes; `*` = every country that no other zone has.
    async fn countries(&self) -> Vec<&str> {
        let countries = self.0.countries.as_array().into_iter().flatten();
        countries.filter_map(|country| country.as_str()).collect()
    }

    /// What shipping costs there, in the channels that you see, by weight.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn rates(&self, ctx: &Context<'_>) -> Result<Vec<ShippingRate>> {
        let rows = load(ctx, RatesOf(self.0.id)).await?.unwrap_or_default();
        let seen = rows.into_iter().filter(|row| sees(ctx, row.channel_id));
        Ok(seen.map(ShippingRate).collect())
    }
}

/// What a service costs in a zone for a range of weights. Where several fit a parcel, the cheapest
/// is charged.
pub struct ShippingRate(pub shipping_rate::Model);

impl From<shipping_rate::Model> for ShippingRate {
    fn from(row: shipping_rate::Model) -> Self {
        ShippingRate(row)
    }
}

/// What a service costs in a zone for a range of weights. Where several fit a parcel, the cheapest
/// is charged.
#[Object]
impl ShippingRate {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Where.
    async fn zone(&self, ctx: &Context<'_>) -> Result<Option<ShippingZone>> {
        Ok(load(ctx, self.0.zone_id).await?.map(ShippingZone))
    }

    /// The one channel that it is for; null = all.
    async fn channel(&self, ctx: &Context<'_>) -> Result<Option<Channel>> {
        match self.0.channel_id {
            Some(id) if sees(ctx, Some(id)) => Ok(load(ctx, id).await?.map(Channel)),
            _ => Ok(None),
        }
    }

    /// The service: `STANDARD`, `EXPRESS` …
    async fn service_level(&self) -> &str {
        &self.0.service_level
    }

    /// From this weight on, in grams.
    async fn min_weight_grams(&self) -> i64 {
        self.0.min_weight_grams
    }

    /// Below this weight, in grams; null = without limit.
    async fn max_weight_grams(&self) -> Option<i64> {
        self.0.max_weight_grams
    }

    /// The charge.
    async fn price(&self) -> Money {
        money(self.0.price_minor, self.0.currency)
    }

    /// From this value of the goods on it is free; null = never.
    async fn free_over(&self) -> Option<Money> {
        self.0
            .free_over_minor
            .map(|minor| money(minor, self.0.currency))
    }
}

/// Which tax rates. Fields of one input must all match.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TaxRateWhere {
    /// By the country of the destination: ISO 3166-1 alpha-2.
    pub country: Option<StringFilter>,
    /// By what is taxed.
    pub category: Option<StringFilter>,
    /// All of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub and: Option<Vec<TaxRateWhere>>,
    /// One of these must match. At most 20.
    #[graphql(validator(max_items = 20))]
    pub or: Option<Vec<TaxRateWhere>>,
    /// This must not match.
    pub not: Option<Box<TaxRateWhere>>,
}

filter!(TaxRateWhere, |it| [
    it.country.as_ref().map(|f| f.on(tax_rate::Column::Country)),
    it.category
        .as_ref()
        .map(|f| f.on(tax_rate::Column::Category)),
]);

/// Reads of tax and shipping.
#[derive(Default)]
pub struct ShippingQuery;

/// Reads of tax and shipping.
#[Object]
impl ShippingQuery {
    /// The tax rates, by country. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn tax_rates(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "where", desc = "Which; all if not given.")] filter: Option<TaxRateWhere>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<TaxRate>> {
        let rows = tax_rate::Entity::find().filter(condition(filter.as_ref())?);
        let sort = Sort {
            column: tax_rate::Column::Country,
            id: tax_rate::Column::Id,
            order: Order::Asc,
            key: |row: &tax_rate::Model| (row.country.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, TaxRate).await
    }

    /// The shipping zones, by code. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn shipping_zones(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<ShippingZone>> {
        let sort = Sort {
            column: shipping_zone::Column::Code,
            id: shipping_zone::Column::Id,
            order: Order::Asc,
            key: |row: &shipping_zone::Model| (row.code.clone(), row.id.0),
        };
        let rows = shipping_zone::Entity::find();
        page(app(ctx), rows, sort, first, after, ShippingZone).await
    }
}

/// What `taxRateSet` needs.
#[derive(Clone, Debug, InputObject)]
pub struct TaxRateSetInput {
    /// The country of the destination: ISO 3166-1 alpha-2.
    pub country: String,
    /// The state or province; the whole country if not given.
    pub region: Option<String>,
    /// What is taxed, kept in capitals. `STANDARD` also serves categories without a rate of their
    /// own.
    #[graphql(default_with = "\"STANDARD\".to_owned()")]
    pub category: String,
    /// The rate, 0 to 1: 0.19 is 19 %.
    pub rate: Decimal,
    /// The first moment that it is valid; always was if not given.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first moment that it is no longer valid; always will be if not given.
    pub valid_until: Option<DateTime<Utc>>,
}

impl TaxRateSetInput {
    fn command(self) -> Result<shipping::SetTaxRate, Problem> {
        Ok(shipping::SetTaxRate {
            country: country("input.country", &self.country)?,
            region: self.region,
            category: self.category,
            rate: Rate(self.rate.0.normalize()),
            valid_from: self.valid_from,
            valid_until: self.valid_until,
        })
    }
}

/// What `shippingZoneCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShippingZoneCreateInput {
    /// Its name in feeds: 1 to 64 characters, no blanks; unique (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes, each in one zone at most (CODE_TAKEN); or `*` alone for every
    /// country that no other zone has.
    #[graphql(validator(max_items = 300))]
    pub countries: Vec<String>,
}

impl ShippingZoneCreateInput {
    fn command(self) -> Result<shipping::CreateZone, Problem> {
        let everywhere = self.countries == ["*"];
        let mut countries = Vec::with_capacity(self.countries.len());
        for (place, code) in self.countries.into_iter().enumerate() {
            countries.push(if everywhere {
                code
            } else {
                country(&format!("input.countries.{place}"), &code)?
            });
        }
        Ok(shipping::CreateZone {
            code: self.code,
            name: self.name,
            countries,
        })
    }
}

/// What `shippingRateSet` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShippingRateSetInput {
    /// The zone (NOT_FOUND).
    pub zone_id: ID,
    /// The one channel that it is for; all if not given (NOT_FOUND).
    pub channel_id: Option<ID>,
    /// The service, kept in capitals.
    #[graphql(default_with = "\"STANDARD\".to_owned()")]
    pub service_level: String,
    /// From this weight on, in grams.
    #[graphql(default)]
    pub min_weight_grams: i64,
    /// Below this weight, in grams; without limit if not given.
    pub max_weight_grams: Option<i64>,
    /// The charge.
    pub price: MoneyInput,
    /// From this value of the goods on it is free, in major units of the price's currency; never
    /// if not given.
    pub free_over: Option<Decimal>,
}

impl ShippingRateSetInput {
    fn command(self, ctx: &Context<'_>) -> Result<shipping::SetRate, Problem> {
        let price = self.price.read("input.price")?;
        Ok(shipping::SetRate {
            zone_id: from_global(&self.zone_id, "input.zoneId")?,
            channel_id: seen_channel_if_any(ctx, self.channel_id.as_ref(), "input.channelId")?,
            service_level: self.service_level,
            min_weight_grams: self.min_weight_grams,
            max_weight_grams: self.max_weight_grams,
            price_minor: price.minor,
            currency: price.currency,
            free_over_minor: self
                .free_over
                .map(|amount| minor(amount, price.currency, "input.freeOver"))
                .transpose()?,
        })
    }
}

payloads! {
    /// What `taxRateSet` came to.
    TaxRateSetPayload {
        /// The rate; null if it was refused.
        tax_rate: TaxRate
    }
    /// What `shippingZoneCreate` came to.
    ShippingZoneCreatePayload {
        /// The new zone; null if it was refused.
        shipping_zone: ShippingZone
    }
    /// What `shippingRateSet` came to.
    ShippingRateSetPayload {
        /// The rate; null if it was refused.
        shipping_rate: ShippingRate
    }
}

/// Changes of tax and shipping.
#[derive(Default)]
pub struct ShippingMutation;

/// Changes of tax and shipping.
#[Object]
impl ShippingMutation {
    /// Sets the tax rate of a category at a destination. A rate that begins at the same moment is
    /// replaced. Refusals: INVALID_INPUT (`details` has the rate that is valid at the same time).
    /// Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn tax_rate_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, what and how much.")] input: TaxRateSetInput,
    ) -> Result<TaxRateSetPayload> {
        let cmd = input.command();
        Ok(run_on_reference(ctx, cmd, shipping::set_tax_rate)
            .await?
            .into())
    }

    /// Makes a shipping zone. Refusals: CODE_TAKEN (`details` has the zone of a country that is
    /// taken), NAME_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn shipping_zone_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the zone is to be.")] input: ShippingZoneCreateInput,
    ) -> Result<ShippingZoneCreatePayload> {
        let cmd = input.command();
        Ok(run_on_reference(ctx, cmd, shipping::create_zone)
            .await?
            .into())
    }

    /// Sets what a service costs in a zone from a weight on. A rate of the same zone, channel,
    /// service, currency and least weight is replaced. Refusals: NOT_FOUND, AMOUNT_INVALID,
    /// QUANTITY_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn shipping_rate_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, what and how much.")] input: ShippingRateSetInput,
    ) -> Result<ShippingRateSetPayload> {
        let cmd = input.command(ctx);
        Ok(run_on_reference(ctx, cmd, shipping::set_rate).await?.into())
    }
}
