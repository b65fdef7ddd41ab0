//! The small tables that every order reads: channels, tax rates, shipping, price lists, automatic
//! promotions, the rules that make exceptions. They are kept in memory and read again after a change of any of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    ChannelId, Currency, PriceListId, Rate, VariantId, WarehouseId, channel, channel_warehouse,
    exception_rule, inbound_supply, postal_code, price_list, promotion, shipping_rate,
    shipping_zone, tax_rate, warehouse,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};

use crate::pricing::ShippingOption;
use crate::shipping::Tariffs;

/// A channel with the warehouses that serve it and take work.
#[derive(Clone, Debug)]
pub struct ChannelPolicy {
    /// Its row.
    pub row: channel::Model,
    /// The warehouses that serve it, first asked first.
    pub warehouses: Vec<WarehouseId>,
}

/// The small tables, as they were at one moment.
#[derive(Debug, Default)]
pub struct Reference {
    channels: HashMap<ChannelId, ChannelPolicy>,
    codes: HashMap<String, ChannelId>,
    taxes: Vec<tax_rate::Model>,
    zones: Vec<shipping_zone::Model>,
    rates: Vec<shipping_rate::Model>,
    price_lists: Vec<price_list::Model>,
    promotions: Vec<promotion::Model>,
    limited_promotions: bool,
    covered: BTreeSet<String>,
    expected: BTreeMap<VariantId, Vec<(DateTime<Utc>, WarehouseId)>>,
    exception_rules: Vec<exception_rule::Model>,
    tariffs: Tariffs,
}

impl Reference {
    /// Reads every table.
    pub async fn load(db: &impl ConnectionTrait) -> Result<Reference, DbErr> {
        let mut serving: HashMap<ChannelId, Vec<WarehouseId>> = HashMap::new();
        for row in channel_warehouse::Entity::find()
            .join(
                JoinType::InnerJoin,
                channel_warehouse::Relation::Warehouse.def(),
            )
            .filter(warehouse::Column::Active.eq(true))
            .order_by_asc(channel_warehouse::Column::Priority)
            .order_by_asc(channel_warehouse::Column::WarehouseId)
            .all(db)
            .await?
        {
            serving
                .entry(row.channel_id)
                .or_default()
                .push(row.warehouse_id);
        }
        let channels: HashMap<ChannelId, ChannelPolicy> = channel::Entity::find()
            .all(db)
            .await?
            .into_iter()
            .map(|row| {
                let warehouses = serving.remove(&row.id).unwrap_or_default();
                (row.id, ChannelPolicy { row, warehouses })
            })
            .collect();
        let covered = postal_code::Entity::find()
            .select_only()
            .column(postal_code::Column::Country)
            .distinct()
            .into_tuple::<String>()
            .all(db)
            .await?;
        let mut expected: BTreeMap<VariantId, Vec<(DateTime<Utc>, WarehouseId)>> = BTreeMap::new();
        for row in inbound_supply::Entity::find()
            .filter(inbound_supply::Column::Status.is_in([
                inbound_supply::Status::Expected,
                inbound_supply::Status::PartlyReceived,
            ]))
            .order_by_asc(inbound_supply::Column::ExpectedAt)
            .all(db)
            .await?
        {
            expected
                .entry(row.variant_id)
                .or_default()
                .push((row.expected_at, row.warehouse_id));
        }
        Ok(Reference {
            codes: channels
                .values()
                .map(|channel| (channel.row.code.to_lowercase(), channel.row.id))
                .collect(),
            channels,
            taxes: tax_rate::Entity::find().all(db).await?,
            zones: shipping_zone::Entity::find().all(db).await?,
            rates: shipping_rate::Entity::find().all(db).await?,
            price_lists: price_list::Entity::find().all(db).await?,
            limited_promotions: promotion::Entity::find()
                .filter(promotion::Column::Code.is_null())
                .filter(promotion::Column::Active.eq(true))
                .filter(promotion::Column::UsageLimit.is_not_null())
                .one(db)
                .await?
                .is_some(),
            promotions: promotion::Entity::find()
                .filter(promotion::Column::Code.is_null())
                .filter(promotion::Column::Active.eq(true))
                .filter(promotion::Column::UsageLimit.is_null())
                .all(db)
                .await?,
            covered: covered.into_iter().collect(),
            expected,
            exception_rules: exception_rule::Entity::find()
                .filter(exception_rule::Column::Enabled.eq(true))
                .order_by_asc(exception_rule::Column::Code)
                .all(db)
                .await?,
            tariffs: Tariffs::load(db).await?,
        })
    }

    /// A channel.
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelPolicy> {
        self.channels.get(&id)
    }

    /// Every channel.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelPolicy> {
        self.channels.values()
    }

    /// Whether a channel asks for authorised ≥ due before staging; one that is not known does.
    pub fn authorization_required(&self, channel: ChannelId) -> bool {
        self.channel(channel)
            .is_none_or(|channel| channel.row.requires_authorization)
    }

    /// How long after its release an order of a channel should be dispatched; one that is not
    /// known promises a day.
    pub fn dispatch_within(&self, channel: ChannelId) -> TimeDelta {
        let secs = self
            .channel(channel)
            .map(|channel| channel.row.dispatch_within_secs);
        secs.map_or(TimeDelta::days(1), TimeDelta::seconds)
    }

    /// How long after its carrier had it a shipment of a channel is taken for delivered; of one
    /// that is not known, two weeks.
    pub fn completes_after(&self, channel: ChannelId) -> TimeDelta {
        let secs = self
            .channel(channel)
            .map(|channel| channel.row.completes_after_secs);
        secs.map_or(TimeDelta::weeks(2), TimeDelta::seconds)
    }

    /// How long after its last change an order of a channel that is over is put away; of one that
    /// is not known, after thirty days.
    pub fn archives_after(&self, channel: ChannelId) -> TimeDelta {
        let secs = self
            .channel(channel)
            .map(|channel| channel.row.archives_after_secs);
        secs.map_or(TimeDelta::days(30), TimeDelta::seconds)
    }

    /// A channel by its code, in any case.
    pub fn channel_by_code(&self, code: &str) -> Option<&ChannelPolicy> {
        self.channels
            .get(self.codes.get(&code.trim().to_lowercase())?)
    }

    /// The tax rate of a category at a destination: the region's own, else the country's, else
    /// none is charged. A category without a rate of its own is taxed as `STANDARD`.
    pub fn tax(
        &self,
        country: &str,
        region: Option<&str>,
        category: &str,
        at: DateTime<Utc>,
    ) -> Rate {
        let find = |category: &str| {
            self.taxes
                .iter()
                .filter(|rate| rate.country == country && rate.category == category)
                .filter(|rate| is_valid(rate.valid_from, rate.valid_until, at))
                .filter(|rate| {
                    rate.region.as_deref().is_none_or(|own| {
                        region.is_some_and(|region| region.trim().eq_ignore_ascii_case(own))
                    })
                })
                .max_by_key(|rate| rate.region.is_some())
                .map(|rate| rate.rate)
        };
        find(category)
            .or_else(|| find("STANDARD"))
            .unwrap_or_default()
    }

    /// What shipping could cost: the rates of the zone that has the country, for a service.
    pub fn shipping(
        &self,
        country: &str,
        channel: ChannelId,
        currency: Currency,
        service: &str,
    ) -> Vec<ShippingOption> {
        let has = |zone: &shipping_zone::Model, country: &str| {
            zone.countries
                .as_array()
                .is_some_and(|list| list.iter().any(|item| item.as_str() == Some(country)))
        };
        let zone = self
            .zones
            .iter()
            .find(|zone| has(zone, country))
            .or_else(|| self.zones.iter().find(|zone| has(zone, "*")));
        let Some(zone) = zone else {
            return Vec::new();
        };
        self.rates
            .iter()
            .filter(|rate| {
                rate.zone_id == zone.id
                    && rate.currency == currency
                    && rate.service_level == service
                    && rate.channel_id.is_none_or(|own| own == channel)
            })
            .map(|rate| ShippingOption {
                service: rate.service_level.clone(),
                min_weight_grams: rate.min_weight_grams,
                max_weight_grams: rate.max_weight_grams,
                price_minor: rate.price_minor,
                free_over_minor: rate.free_over_minor,
            })
            .collect()
    }

    /// Whether any shipping rate in a currency, to wherever, is for a channel.
    pub fn has_shipping_rates(&self, channel: ChannelId, currency: Currency) -> bool {
        self.rates.iter().any(|rate| {
            rate.currency == currency && rate.channel_id.is_none_or(|own| own == channel)
        })
    }

    /// The price lists that fit an order, each with its rank.
    pub fn price_lists(
        &self,
        channel: ChannelId,
        currency: Currency,
        group: Option<&str>,
        at: DateTime<Utc>,
    ) -> BTreeMap<PriceListId, i64> {
        self.price_lists
            .iter()
            .filter(|list| {
                list.currency == currency
                    && list.channel_id.is_none_or(|own| own == channel)
                    && list
                        .group_code
                        .as_deref()
                        .is_none_or(|own| group == Some(own))
                    && is_valid(list.valid_from, list.valid_until, at)
            })
            .map(|list| (list.id, i64::from(list.rank)))
            .collect()
    }

    /// The promotions that apply without a code and without a limit. How often a limited one was
    /// used is not for memory to know.
    pub fn automatic_promotions(&self) -> &[promotion::Model] {
        &self.promotions
    }

    /// Whether there are automatic promotions with a limit, to be read for each order.
    pub fn has_limited_promotions(&self) -> bool {
        self.limited_promotions
    }

    /// Whether the reference table has addresses of a country.
    pub fn covers(&self, country: &str) -> bool {
        self.covered.contains(country)
    }

    /// The enabled rules, by code. What they mean is for others to know.
    pub fn exception_rules(&self) -> &[exception_rule::Model] {
        &self.exception_rules
    }

    /// What the carriers offer.
    pub fn tariffs(&self) -> &Tariffs {
        &self.tariffs
    }

    /// When stock of a variant is expected next in one of these warehouses; none = honestly
    /// unknown.
    pub fn expected(
        &self,
        variant: VariantId,
        warehouses: &[WarehouseId],
        after: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        self.expected
            .get(&variant)?
            .iter()
            .find(|(at, warehouse)| *at >= after && warehouses.contains(warehouse))
            .map(|(at, _)| *at)
    }
}

/// Whether a moment is in the half-open window.
fn is_valid(from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>, at: DateTime<Utc>) -> bool {
    from.is_none_or(|from| from <= at) && until.is_none_or(|until| at < until)
}

/// How long the tables are kept: another node may have changed them.
const KEPT: Duration = Duration::from_secs(5);

/// The newest [`Reference`], read when it is first needed after a change, or after a few seconds.
#[derive(Default)]
pub struct ReferenceCache {
    current: ArcSwapOption<(Instant, Arc<Reference>)>,
    changes: AtomicU64,
}

impl ReferenceCache {
    /// Forgets what is kept: something has changed.
    pub fn invalidate(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.current.store(None);
    }

    /// The tables, from memory or from the database.
    pub async fn get(&self, db: &impl ConnectionTrait) -> Result<Arc<Reference>, DbErr> {
        if let Some(kept) = self.current.load_full()
            && kept.0.elapsed() < KEPT
        {
            return Ok(kept.1.clone());
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let began = Instant::now();
        let read = Arc::new(Reference::load(db).await?);
        self.current.store(Some(Arc::new((began, read.clone()))));
        // What was read while something changed serves this caller, and nobody after it.
        if self.changes.load(Ordering::SeqCst) != changes {
            self.current.store(None);
        }
        Ok(read)
    }
}
