//! Channels on the wire.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use entity::{TimeZone, UnknownTimeZone, channel};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter};

use super::warehouses::Warehouse;
use super::{confined, seen_channel};
use crate::access::Scope;
use crate::catalogue::channels;
use crate::failure::{Code, Problem};
use crate::fulfillment::routing::Rule;
use crate::graphql::command::{payloads, run_on_reference};
use crate::graphql::errors::fault;
use crate::graphql::ids::{from_globals, to_global};
use crate::graphql::loaders::{WarehousesOf, load, load_all};
use crate::graphql::pagination::{Rows, Sort, cost, page};
use crate::graphql::scalars::{CurrencyCode, Decimal, Money, minor, money};
use crate::graphql::{Allowed, app};

/// Whether the prices of a channel contain the tax. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "channel::TaxMode")]
pub enum TaxMode {
    /// Prices are gross: the tax is taken out of them.
    Inclusive,
    /// Prices are net: the tax is added to them.
    Exclusive,
}

/// How an amount between two minor units is rounded. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "channel::RoundingMode")]
pub enum RoundingMode {
    /// Half a minor unit goes away from zero.
    HalfUp,
    /// Half a minor unit goes to the even neighbour (banker's rounding).
    HalfEven,
}

/// What the tax is rounded on. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "channel::RoundingScope")]
pub enum RoundingScope {
    /// Once on the whole line.
    PerLine,
    /// On one unit, then multiplied by the quantity.
    PerUnit,
}

/// What happens to an order that fails a check. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "channel::FailedCheckPolicy")]
pub enum FailedCheckPolicy {
    /// The order is kept, with a blocking exception for a person to resolve.
    Review,
    /// The order is refused with a coded error, and nothing is kept.
    Refuse,
}

/// A storefront, marketplace, partner or desk that orders come from.
pub struct Channel(pub channel::Model);

impl From<channel::Model> for Channel {
    fn from(row: channel::Model) -> Self {
        Channel(row)
    }
}

/// A storefront, marketplace, partner or desk that orders come from.
#[Object]
impl Channel {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds and imports; unique without regard to case.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The currency of its prices; an order in another one is refused.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }

    /// Where its merchant lives, by its name in the IANA database: `Europe/Vienna`. It decides
    /// what "late in the day" means.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }

    /// Whether its prices contain the tax.
    async fn tax_mode(&self) -> TaxMode {
        self.0.tax_mode.into()
    }

    /// How its tax and discounts are rounded.
    async fn rounding_mode(&self) -> RoundingMode {
        self.0.rounding_mode.into()
    }

    /// What its tax is rounded on.
    async fn rounding_scope(&self) -> RoundingScope {
        self.0.rounding_scope.into()
    }

    /// The largest difference between a submitted price or total and ours that is no exception.
    async fn price_tolerance(&self) -> Money {
        money(self.0.price_tolerance_minor, self.0.currency)
    }

    /// What happens to an order that fails a check.
    async fn failed_check_policy(&self) -> FailedCheckPolicy {
        self.0.failed_check_policy.into()
    }

    /// Whether an order may be staged only when the amount due is authorised.
    async fn requires_authorization(&self) -> bool {
        self.0.requires_authorization
    }

    /// How long stock is held softly before an order is confirmed, in seconds.
    async fn reservation_ttl_secs(&self) -> i64 {
        self.0.reservation_ttl_secs
    }

    /// How long after its release an order should be dispatched, in seconds.
    async fn dispatch_within_secs(&self) -> i64 {
        self.0.dispatch_within_secs
    }

    /// How long after it left a shipment should be scanned by its carrier, in seconds; then it is an
    /// exception (NO_PICKUP_SCAN). 0 = nobody looks.
    async fn pickup_within_secs(&self) -> i64 {
        self.0.pickup_within_secs
    }

    /// How long a capture that came to nothing waits for its next try, in seconds.
    async fn capture_retry_secs(&self) -> i64 {
        self.0.capture_retry_secs
    }

    /// Whether what is set aside for a released order is set aside afresh by itself before it runs
    /// out; otherwise it is an exception (AUTHORIZATION_EXPIRING).
    async fn reauthorizes(&self) -> bool {
        self.0.reauthorizes
    }

    /// How long after its carrier had it a shipment of which nothing else is heard is taken for
    /// delivered, in seconds: then its order may be complete.
    async fn completes_after_secs(&self) -> i64 {
        self.0.completes_after_secs
    }

    /// How long after its last change an order that is over is put away, in seconds.
    async fn archives_after_secs(&self) -> i64 {
        self.0.archives_after_secs
    }

    /// How many days after its delivery something may be returned; 0 = nothing may.
    async fn return_window_days(&self) -> i64 {
        self.0.return_window_days
    }

    /// What is kept of a returned unit's price for restocking, as a factor: 0.1 is 10 %. Nothing is
    /// kept of what comes back by the merchant's fault.
    async fn restocking_fee(&self) -> Decimal {
        Decimal(self.0.restocking_fee.0)
    }

    /// Whether what the delivery was charged goes back when everything of an order does.
    async fn refunds_delivery(&self) -> bool {
        self.0.refunds_delivery
    }

    /// What decides between warehouses when an order is routed, most important first.
    async fn routing(&self) -> Vec<RoutingRule> {
        Rule::listed(&self.0.routing)
            .into_iter()
            .map(RoutingRule::from)
            .collect()
    }

    /// Whether it takes orders at present.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// The warehouses that serve it, first asked first.
    async fn warehouses(&self, ctx: &Context<'_>) -> Result<Vec<Warehouse>> {
        let serving = load(ctx, WarehousesOf(self.0.id))
            .await?
            .unwrap_or_default();
        let rows = load_all(ctx, serving.iter().map(|row| row.warehouse_id)).await?;
        Ok(rows.into_iter().map(Warehouse).collect())
    }

    /// +1 with every change; give it back as `expectedVersion`.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// Reads of channels.
#[derive(Default)]
pub struct ChannelQuery;

/// Reads of channels.
#[Object]
impl ChannelQuery {
    /// The channels that you see, by code. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn channels(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Channel>> {
        let mut rows = channel::Entity::find();
        if let Some(channels) = confined(ctx)? {
            rows = rows.filter(channel::Column::Id.is_in(channels.iter().copied()));
        }
        let sort = Sort {
            column: channel::Column::Code,
            id: channel::Column::Id,
            order: Order::Asc,
            key: |row: &channel::Model| (row.code.clone(), row.id.0),
        };
        page(app(ctx), rows, sort, first, after, Channel).await
    }

    /// A channel; null if there is none, or none that you see. Needs the scope CATALOGUE_READ.
    #[graphql(guard = "Allowed(Scope::CatalogueRead)")]
    async fn channel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Channel>> {
        match seen_channel(ctx, &id, "id") {
            Ok(id) => Ok(load(ctx, id).await?.map(Channel)),
            Err(_) => Ok(None),
        }
    }
}

/// What `channelCreate` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ChannelCreateInput {
    /// Its name in feeds and imports: 1 to 64 characters, no blanks; unique without regard to
    /// case (CODE_TAKEN).
    pub code: String,
    /// Its name on screens, 1 to 300 characters.
    pub name: String,
    /// The currency of its prices; it cannot be changed later.
    pub currency: CurrencyCode,
    /// Where its merchant lives, by its name in the IANA database: `Europe/Vienna`.
    #[graphql(default = "UTC")]
    pub time_zone: String,
    /// Whether its prices contain the tax.
    #[graphql(default_with = "TaxMode::Inclusive")]
    pub tax_mode: TaxMode,
    /// How its tax and discounts are rounded.
    #[graphql(default_with = "RoundingMode::HalfUp")]
    pub rounding_mode: RoundingMode,
    /// What its tax is rounded on.
    #[graphql(default_with = "RoundingScope::PerLine")]
    pub rounding_scope: RoundingScope,
    /// The largest difference from our price that is no exception, in major units of its currency.
    #[graphql(default)]
    pub price_tolerance: Decimal,
    /// What happens to an order that fails a check.
    #[graphql(default_with = "FailedCheckPolicy::Review")]
    pub failed_check_policy: FailedCheckPolicy,
    /// Whether an order may be staged only when the amount due is authorised.
    #[graphql(default = true)]
    pub requires_authorization: bool,
    /// How long stock is held softly before an order is confirmed, in seconds: 1 to 7,776,000.
    #[graphql(default = 1800)]
    pub reservation_ttl_secs: i64,
    /// How long after its release an order should be dispatched, in seconds: 1 to 7,776,000.
    /// Orders that were released before keep their promise.
    #[graphql(default = 86_400)]
    pub dispatch_within_secs: i64,
    /// The warehouses that serve it, first asked first (NOT_FOUND).
    #[graphql(validator(max_items = 250))]
    pub warehouse_ids: Vec<ID>,
}

impl ChannelCreateInput {
    fn command(self) -> Result<channels::Create, Problem> {
        let currency = self.currency.0;
        Ok(channels::Create {
            code: self.code,
            name: self.name,
            currency,
            time_zone: time_zone(&self.time_zone)?,
            tax_mode: self.tax_mode.into(),
            rounding_mode: self.rounding_mode.into(),
            rounding_scope: self.rounding_scope.into(),
            price_tolerance_minor: minor(self.price_tolerance, currency, "input.priceTolerance")?,
            failed_check_policy: self.failed_check_policy.into(),
            requires_authorization: self.requires_authorization,
            reservation_ttl_secs: self.reservation_ttl_secs,
            dispatch_within_secs: self.dispatch_within_secs,
            warehouses: from_globals(&self.warehouse_ids, "input.warehouseIds")?,
        })
    }
}

/// What decides between warehouses. Values may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Rule")]
pub enum RoutingRule {
    /// Who can send most of what is left.
    FewestSplits,
    /// Who is nearest to the customer: in the same country, then the longer common beginning of
    /// the postal codes.
    Nearest,
    /// Who comes first among the channel's warehouses.
    Priority,
    /// Who has the oldest stock of it.
    StockAge,
    /// From where a unit costs least to send, by the carriers' tables: what each warehouse can send
    /// is priced as one parcel of its weight.
    Cheapest,
}

/// What `channelUpdate` needs. What is left out stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct ChannelUpdateInput {
    /// Which channel (NOT_FOUND).
    pub id: ID,
    /// The version that you decided on (STALE_VERSION).
    pub expected_version: Option<i64>,
    /// Its name on screens, 1 to 300 characters.
    pub name: Option<String>,
    /// Where its merchant lives, by its name in the IANA database: `Europe/Vienna`.
    pub time_zone: Option<String>,
    /// Whether its prices contain the tax.
    pub tax_mode: Option<TaxMode>,
    /// How its tax and discounts are rounded.
    pub rounding_mode: Option<RoundingMode>,
    /// What its tax is rounded on.
    pub rounding_scope: Option<RoundingScope>,
    /// The largest difference from our price that is no exception, in major units of its currency.
    pub price_tolerance: Option<Decimal>,
    /// What happens to an order that fails a check.
    pub failed_check_policy: Option<FailedCheckPolicy>,
    /// Whether an order may be staged only when the amount due is authorised.
    pub requires_authorization: Option<bool>,
    /// How long stock is held softly before an order is confirmed, in seconds: 1 to 7,776,000.
    pub reservation_ttl_secs: Option<i64>,
    /// How long after its release an order should be dispatched, in seconds: 1 to 7,776,000.
    /// Orders that were released before keep their promise.
    pub dispatch_within_secs: Option<i64>,
    /// How long after it left a shipment should be scanned by its carrier, in seconds: 0 to
    /// 7,776,000; 0 = nobody looks.
    pub pickup_within_secs: Option<i64>,
    /// How long a capture that came to nothing waits for its next try, in seconds: 60 to 604,800.
    pub capture_retry_secs: Option<i64>,
    /// Whether what is set aside is set aside afresh by itself before it runs out.
    pub reauthorizes: Option<bool>,
    /// How long after its carrier had it a shipment of which nothing else is heard is taken for
    /// delivered, in seconds: 1 to 7,776,000.
    pub completes_after_secs: Option<i64>,
    /// How long after its last change an order that is over is put away, in seconds: 0 to
    /// 315,360,000.
    pub archives_after_secs: Option<i64>,
    /// How many days after its delivery something may be returned: 0 to 3,650; 0 = nothing may.
    pub return_window_days: Option<i64>,
    /// What is kept of a returned unit's price for restocking, as a factor: 0 to 1.
    pub restocking_fee: Option<Decimal>,
    /// Whether what the delivery was charged goes back when everything of an order does.
    pub refunds_delivery: Option<bool>,
    /// What decides between warehouses, most important first: one or more different rules.
    #[graphql(validator(max_items = 10))]
    pub routing: Option<Vec<RoutingRule>>,
    /// Whether it takes orders.
    pub active: Option<bool>,
    /// The warehouses that serve it, all of them, first asked first (NOT_FOUND).
    #[graphql(validator(max_items = 250))]
    pub warehouse_ids: Option<Vec<ID>>,
}

impl ChannelUpdateInput {
    fn command(
        self,
        ctx: &Context<'_>,
        reference: &crate::catalogue::Reference,
    ) -> Result<channels::Update, Problem> {
        let id = seen_channel(ctx, &self.id, "input.id")?;
        // A channel that was made this moment elsewhere may not be in memory yet.
        let known = reference.channel(id).map(|channel| channel.row.currency);
        let currency = known.ok_or_else(|| Problem::not_found("Channel").at("input.id"))?;
        Ok(channels::Update {
            id,
            expected_version: self.expected_version,
            name: self.name,
            time_zone: self.time_zone.as_deref().map(time_zone).transpose()?,
            tax_mode: self.tax_mode.map(Into::into),
            rounding_mode: self.rounding_mode.map(Into::into),
            rounding_scope: self.rounding_scope.map(Into::into),
            price_tolerance_minor: self
                .price_tolerance
                .map(|amount| minor(amount, currency, "input.priceTolerance"))
                .transpose()?,
            failed_check_policy: self.failed_check_policy.map(Into::into),
            requires_authorization: self.requires_authorization,
            reservation_ttl_secs: self.reservation_ttl_secs,
            routing: self.routing.map(|rules| {
                let name = |rule| Rule::from(rule).name().to_owned();
                rules.into_iter().map(name).collect()
            }),
            dispatch_within_secs: self.dispatch_within_secs,
            pickup_within_secs: self.pickup_within_secs,
            capture_retry_secs: self.capture_retry_secs,
            reauthorizes: self.reauthorizes,
            completes_after_secs: self.completes_after_secs,
            archives_after_secs: self.archives_after_secs,
            return_window_days: self.return_window_days,
            restocking_fee: self.restocking_fee.map(|fee| entity::Rate(fee.0)),
            refunds_delivery: self.refunds_delivery,
            active: self.active,
            warehouses: self
                .warehouse_ids
                .map(|ids| from_globals(&ids, "input.warehouseIds"))
                .transpose()?,
        })
    }
}

/// A time zone by its name in the IANA database.
pub(in crate::graphql) fn time_zone(name: &str) -> Result<TimeZone, Problem> {
    name.parse().map_err(|error: UnknownTimeZone| {
        Problem::new(Code::InvalidInput, error.to_string()).at("input.timeZone")
    })
}

payloads! {
    /// What `channelCreate` came to.
    ChannelCreatePayload {
        /// The new channel; null if it was refused.
        channel: Channel
    }
    /// What `channelUpdate` came to.
    ChannelUpdatePayload {
        /// The channel after the change; null if it was refused.
        channel: Channel
    }
}

/// Changes of channels.
#[derive(Default)]
pub struct ChannelMutation;

/// Changes of channels.
#[Object]
impl ChannelMutation {
    /// Makes a channel that takes orders at once. Refusals: CODE_TAKEN, NOT_FOUND,
    /// AMOUNT_INVALID, NAME_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn channel_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the channel is to be.")] input: ChannelCreateInput,
    ) -> Result<ChannelCreatePayload> {
        let cmd = input.command();
        Ok(run_on_reference(ctx, cmd, channels::create).await?.into())
    }

    /// Changes a channel's policies or the warehouses that serve it. Orders that were taken before
    /// keep what they were taken under. Refusals: NOT_FOUND, STALE_VERSION, AMOUNT_INVALID,
    /// NAME_INVALID, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn channel_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: ChannelUpdateInput,
    ) -> Result<ChannelUpdatePayload> {
        let reference = app(ctx).reference().await.map_err(fault)?;
        let cmd = input.command(ctx, &reference);
        Ok(run_on_reference(ctx, cmd, channels::update).await?.into())
    }
}
