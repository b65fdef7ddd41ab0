//! Carriers on the wire, and what they would take for a shipment.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use entity::carrier::Adapter;
use entity::{
    Weekdays, carrier, carrier_rate, carrier_service, carrier_surcharge, carrier_zone, warehouse,
};
use sea_orm::{EntityTrait, Order};

use super::catalogue::country;
use super::command::{payloads, run_on_reference};
use super::errors::{UserError, outcome};
use super::ids::{from_global, to_global};
use super::loaders::{CarrierRatesOf, CarrierZonesOf, ServicesOf, SurchargesOf, load};
use super::pagination::{Rows, Sort, cost, page};
use super::scalars::{CurrencyCode, Decimal, Money, MoneyInput, minor, money};
use super::{Allowed, app};
use crate::access::Scope;
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};
use crate::shipping::carriers;
use crate::shipping::choice::{
    self, Choice, CostKind, Destination, Dimensions, Parcel, Rating, Reason, Sending,
};
use crate::shipping::port::{Party, Route};

/// How many parcels a quote may be for.
const MOST_PARCELS: usize = 50;

/// Who is asked for a carrier's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::carrier::Adapter")]
pub enum CarrierAdapter {
    /// Nobody: rates, numbers and labels are ours, by a contract.
    Table,
    /// EasyPost, which speaks for many carriers. The codes of the carrier and its services are
    /// EasyPost's names for them.
    Easypost,
}

/// What a surcharge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "entity::carrier_surcharge::Kind")]
pub enum SurchargeKind {
    /// What fuel costs at present; on every parcel.
    Fuel,
    /// The destination is hard to reach.
    Remote,
    /// The parcel is long, bulky or heavy.
    Oversize,
    /// Nobody is at home for certain.
    Residential,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "chrono::Weekday")]
pub enum Weekday {
    /// Monday.
    #[graphql(name = "MONDAY")]
    Mon,
    /// Tuesday.
    #[graphql(name = "TUESDAY")]
    Tue,
    /// Wednesday.
    #[graphql(name = "WEDNESDAY")]
    Wed,
    /// Thursday.
    #[graphql(name = "THURSDAY")]
    Thu,
    /// Friday.
    #[graphql(name = "FRIDAY")]
    Fri,
    /// Saturday.
    #[graphql(name = "SATURDAY")]
    Sat,
    /// Sunday.
    #[graphql(name = "SUNDAY")]
    Sun,
}

fn days(days: Weekdays) -> Vec<Weekday> {
    days.days().map(Weekday::from).collect()
}

fn weekdays(days: Vec<Weekday>) -> Weekdays {
    days.into_iter().map(chrono::Weekday::from).collect()
}

fn texts(list: &serde_json::Value) -> Vec<&str> {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(|text| text.as_str()).collect()
}

/// Who takes parcels to customers.
pub struct Carrier(pub carrier::Model);

impl From<carrier::Model> for Carrier {
    fn from(row: carrier::Model) -> Self {
        Carrier(row)
    }
}

/// Who takes parcels to customers.
#[Object]
impl Carrier {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds, and at EasyPost for one that is asked there; unique.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Who is asked for its labels.
    async fn adapter(&self) -> CarrierAdapter {
        self.0.adapter.into()
    }

    /// Where customers follow a parcel, with `{number}` in it.
    async fn tracking_url(&self) -> Option<&str> {
        self.0.tracking_url.as_deref()
    }

    /// What the numbers that we give begin with.
    async fn tracking_prefix(&self) -> &str {
        &self.0.tracking_prefix
    }

    /// Whether its messages are taken: it has a secret, which nobody reads.
    async fn sends_messages(&self) -> bool {
        self.0.webhook_secret.is_some()
    }

    /// Whether parcels are given to it.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// +1 with every change of it, its services, zones, rates and surcharges.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// What it offers, by code.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn services(&self, ctx: &Context<'_>) -> Result<Vec<CarrierService>> {
        let rows = load(ctx, ServicesOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(CarrierService).collect())
    }

    /// Where its rates differ, by code.
    #[graphql(complexity = "1 + 10 * child_complexity")]
    async fn zones(&self, ctx: &Context<'_>) -> Result<Vec<CarrierZone>> {
        let zones = load(ctx, CarrierZonesOf(self.0.id)).await?;
        Ok(zones
            .unwrap_or_default()
            .into_iter()
            .map(CarrierZone)
            .collect())
    }
}

/// A service of a carrier: how fast, when, and for which parcels.
pub struct CarrierService(pub carrier_service::Model);

impl From<carrier_service::Model> for CarrierService {
    fn from(row: carrier_service::Model) -> Self {
        CarrierService(row)
    }
}

/// A service of a carrier: how fast, when, and for which parcels.
#[Object]
impl CarrierService {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its carrier.
    async fn carrier(&self, ctx: &Context<'_>) -> Result<Option<Carrier>> {
        Ok(load(ctx, self.0.carrier_id).await?.map(Carrier))
    }

    /// Its name in feeds, and at EasyPost; unique at its carrier.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// Its name on screens.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What customers chose that it fulfils: `STANDARD`, `EXPRESS` …
    async fn service_level(&self) -> &str {
        &self.0.service_level
    }

    /// When the day's parcels are taken: `16:30`. At that minute it is too late.
    async fn cut_off(&self) -> String {
        let minutes = self.0.cut_off_minutes;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// Whose clocks show that: a name of the IANA database.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }

    /// The days on which parcels are taken. Public holidays are not known.
    async fn pickup_weekdays(&self) -> Vec<Weekday> {
        days(self.0.pickup_weekdays)
    }

    /// The days on which parcels are delivered.
    async fn delivery_weekdays(&self) -> Vec<Weekday> {
        days(self.0.delivery_weekdays)
    }

    /// How many delivery days behind the pick-up a parcel arrives; a zone may add some.
    async fn transit_days(&self) -> i32 {
        self.0.transit_days
    }

    /// What a parcel may weigh, in grams; null = anything.
    async fn max_grams(&self) -> Option<i64> {
        self.0.max_grams
    }

    /// How long a parcel's longest side may be, in millimetres; null = any length.
    async fn max_length_mm(&self) -> Option<i32> {
        self.0.max_length_mm
    }

    /// What the longest side and the way around the others may add up to, in millimetres; null =
    /// anything.
    async fn max_girth_mm(&self) -> Option<i32> {
        self.0.max_girth_mm
    }

    /// How many cubic centimetres count as a kilogram; null = only the scale counts.
    async fn volumetric_divisor(&self) -> Option<i32> {
        self.0.volumetric_divisor
    }

    /// Whether post-office boxes are served.
    async fn po_boxes(&self) -> bool {
        self.0.po_boxes
    }

    /// Whether dangerous goods are taken.
    async fn dangerous_goods(&self) -> bool {
        self.0.dangerous_goods
    }

    /// The only countries served, of those of the zones; empty = all of them.
    async fn only_countries(&self) -> Vec<&str> {
        texts(&self.0.only_countries)
    }

    /// Countries not served though a zone has them.
    async fn except_countries(&self) -> Vec<&str> {
        texts(&self.0.except_countries)
    }

    /// Whether it is chosen.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// +1 with every change.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// What it costs, by weight.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn rates(&self, ctx: &Context<'_>) -> Result<Vec<CarrierRate>> {
        let rows = load(ctx, CarrierRatesOf(self.0.id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(CarrierRate)
            .collect())
    }

    /// What it asks on top, in the order of the list.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn surcharges(&self, ctx: &Context<'_>) -> Result<Vec<CarrierSurcharge>> {
        let rows = load(ctx, SurchargesOf(self.0.id)).await?;
        Ok(rows
            .unwrap_or_default()
            .into_iter()
            .map(CarrierSurcharge)
            .collect())
    }
}

/// A part of the world that has rates of its own at a carrier.
pub struct CarrierZone(pub carrier_zone::Model);

impl From<carrier_zone::Model> for CarrierZone {
    fn from(row: carrier_zone::Model) -> Self {
        CarrierZone(row)
    }
}

/// A part of the world that has rates of its own at a carrier. A destination is in the zone that
/// knows the longest beginning of its postal code, else in that of its country, else in `*`; zones
/// that name the country of the warehouse come before those that name none.
#[Object]
impl CarrierZone {
    /// Its global identifier.
    pub async fn id(&self) -> ID {
        to_global(self.0.id)
    }

    /// Its name in feeds; unique at its carrier.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// ISO 3166-1 alpha-2 codes; `*` = every country that no other zone has.
    async fn countries(&self) -> Vec<&str> {
        texts(&self.0.countries)
    }

    /// What postal codes begin with there; empty = whole countries.
    async fn postal_prefixes(&self) -> Vec<&str> {
        texts(&self.0.postal_prefixes)
    }

    /// The countries of the warehouses that it is for; empty = every one that no other zone of the
    /// carrier names.
    async fn from_countries(&self) -> Vec<&str> {
        texts(&self.0.from_countries)
    }

    /// How many delivery days more than the service says it takes there.
    async fn extra_days(&self) -> i32 {
        self.0.extra_days
    }
}

/// What a parcel costs, up to a billable weight: what it weighs, or what its size counts as.
pub struct CarrierRate(pub carrier_rate::Model);

/// What a parcel costs, up to a billable weight: what it weighs, or what its size counts as.
#[Object]
impl CarrierRate {
    /// Where to.
    async fn zone(&self, ctx: &Context<'_>) -> Result<Option<CarrierZone>> {
        Ok(load(ctx, self.0.zone_id).await?.map(CarrierZone))
    }

    /// Up to this billable weight, in grams.
    async fn up_to_grams(&self) -> i64 {
        self.0.up_to_grams
    }

    /// The price.
    async fn price(&self) -> Money {
        money(self.0.price_minor, self.0.currency)
    }
}

/// A surcharge of a service, for each parcel.
pub struct CarrierSurcharge(pub carrier_surcharge::Model);

/// A surcharge of a service, for each parcel.
#[Object]
impl CarrierSurcharge {
    /// What it is for.
    async fn kind(&self) -> SurchargeKind {
        self.0.kind.into()
    }

    /// How much of the rate: 0.15 is 15 %; null = it is an amount.
    async fn percent(&self) -> Option<Decimal> {
        self.0.percent.map(|part| Decimal(part.0))
    }

    /// How much for a parcel; null = it is a part of the rate.
    async fn amount(&self) -> Option<Money> {
        let amount = self.0.amount_minor.zip(self.0.currency);
        amount.map(|(minor, currency)| money(minor, currency))
    }

    /// Where it is asked; empty = everywhere.
    async fn countries(&self) -> Vec<&str> {
        texts(&self.0.countries)
    }

    /// What postal codes begin with where it is asked; empty = any.
    async fn postal_prefixes(&self) -> Vec<&str> {
        texts(&self.0.postal_prefixes)
    }

    /// It is asked for parcels longer than this, in millimetres.
    async fn above_length_mm(&self) -> Option<i32> {
        self.0.above_length_mm
    }

    /// It is asked for parcels whose longest side and way around the others add up to more, in
    /// millimetres.
    async fn above_girth_mm(&self) -> Option<i32> {
        self.0.above_girth_mm
    }

    /// It is asked for parcels that weigh more than this, in grams.
    async fn above_grams(&self) -> Option<i64> {
        self.0.above_grams
    }
}

/// What carriers would take for a shipment, and which of them is chosen.
pub struct ShippingQuote(pub Choice);

impl From<Choice> for ShippingQuote {
    fn from(choice: Choice) -> Self {
        ShippingQuote(choice)
    }
}

/// What carriers would take for a shipment, and which of them is chosen: the cheapest service that
/// keeps the promise, of equally cheap ones the sooner, then the first by code. If none keeps the
/// promise, the soonest, and the cheapest of those.
#[Object]
impl ShippingQuote {
    /// Every active service: the chosen one first, then those that lost to it, best first, then
    /// those that could not take it, by code.
    async fn candidates(&self) -> Vec<ShippingCandidate> {
        let currency = self.0.currency;
        let all = self.0.candidates.iter();
        all.map(|candidate| ShippingCandidate(candidate.clone(), currency))
            .collect()
    }

    /// Whether the chosen one arrives as promised; false if nobody can take it.
    async fn keeps_promise(&self) -> bool {
        self.0.keeps_promise
    }
}

/// A service that was considered.
pub struct ShippingCandidate(choice::Candidate, entity::Currency);

/// A service that was considered.
#[Object]
impl ShippingCandidate {
    /// The carrier's code.
    async fn carrier(&self) -> &str {
        &self.0.carrier
    }

    /// The carrier's name.
    async fn carrier_name(&self) -> &str {
        &self.0.carrier_name
    }

    /// The service's code.
    async fn service(&self) -> &str {
        &self.0.service
    }

    /// The service's name.
    async fn service_name(&self) -> &str {
        &self.0.service_name
    }

    /// What customers chose that it fulfils.
    async fn service_level(&self) -> &str {
        &self.0.service_level
    }

    /// Where its cost comes from.
    async fn rating(&self) -> Rating {
        self.0.rating
    }

    /// The carrier's zone of the destination; null = it has none.
    async fn zone(&self) -> Option<&str> {
        self.0.zone.as_deref()
    }

    /// What the parcels are billed as together, in grams.
    async fn billable_grams(&self) -> i64 {
        self.0.billable_grams
    }

    /// The cost; null if it was refused before its cost was asked.
    async fn cost(&self) -> Option<Money> {
        self.0.cost_minor.map(|minor| money(minor, self.1))
    }

    /// What the cost is made of, all parcels together.
    async fn lines(&self) -> Vec<ShippingCostLine> {
        let lines = self.0.lines.iter();
        lines
            .map(|line| ShippingCostLine {
                kind: line.kind,
                amount: money(line.amount_minor, self.1),
            })
            .collect()
    }

    /// The day on which the carrier takes it, where it takes it.
    async fn picked_up_on(&self) -> Option<NaiveDate> {
        self.0.picked_up_on
    }

    /// When the customer has it: the end of the day on which it arrives.
    async fn promised_at(&self) -> Option<DateTime<Utc>> {
        self.0.promised_at
    }

    /// Whether it is the one.
    async fn chosen(&self) -> bool {
        self.0.reason == Reason::Chosen
    }

    /// Why it was chosen or not.
    async fn reason(&self) -> Reason {
        self.0.reason
    }
}

/// A line of a cost.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct ShippingCostLine {
    /// What for.
    pub kind: CostKind,
    /// How much.
    pub amount: Money,
}

/// A parcel as it would be sent.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ParcelInput {
    /// What it weighs, in grams, at least 1 (QUANTITY_INVALID).
    pub weight_grams: i64,
    /// One side, in millimetres. Either all three are given or none, and then only the weight
    /// counts.
    pub length_mm: Option<i32>,
    /// Another side.
    pub width_mm: Option<i32>,
    /// The third side.
    pub height_mm: Option<i32>,
}

/// Where a shipment would go.
#[derive(Clone, Debug, InputObject)]
pub struct QuoteAddressInput {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The postal code.
    pub postal_code: Option<String>,
    /// Street and number; some carriers ask for it.
    #[graphql(default)]
    pub line1: String,
    /// The place.
    #[graphql(default)]
    pub city: String,
    /// State, province or county.
    pub region: Option<String>,
    /// Whether it is a post-office box, which some carriers refuse.
    #[graphql(default)]
    pub po_box: bool,
    /// Whether somebody lives there, for which some carriers ask more.
    #[graphql(default = true)]
    pub residential: bool,
}

/// What `shippingQuote` needs.
#[derive(Clone, Debug, InputObject)]
pub struct ShippingQuoteInput {
    /// Where it leaves from (NOT_FOUND).
    pub warehouse_id: ID,
    /// Where it goes.
    pub address: QuoteAddressInput,
    /// The parcels, 1 to 50.
    #[graphql(validator(max_items = 50))]
    pub parcels: Vec<ParcelInput>,
    /// What the customer chose: `STANDARD`, `EXPRESS` …; any if not given.
    pub service_level: Option<String>,
    /// When the customer was told to have it; nothing was promised if not given.
    pub promised_by: Option<DateTime<Utc>>,
    /// When the carrier may take it; now if not given.
    pub ready_at: Option<DateTime<Utc>>,
    /// Whether dangerous goods are among it.
    #[graphql(default)]
    pub dangerous_goods: bool,
    /// What is paid in.
    pub currency: CurrencyCode,
}

impl ShippingQuoteInput {
    async fn read(self, ctx: &Context<'_>) -> Result<(Route, Sending), Failure> {
        let mut checks = Checks::new();
        checks.hold(
            (1..=MOST_PARCELS).contains(&self.parcels.len()),
            Code::TooMany,
            "input.parcels",
            "1 to 50 parcels",
        );
        let mut parcels = Vec::with_capacity(self.parcels.len());
        for (place, parcel) in self.parcels.iter().enumerate() {
            let field = |name: &str| format!("input.parcels.{place}.{name}");
            checks.count(&field("weightGrams"), parcel.weight_grams, 1, 10_000_000);
            let sides = [parcel.length_mm, parcel.width_mm, parcel.height_mm];
            let given: Vec<i32> = sides.into_iter().flatten().collect();
            checks.hold(
                matches!(given.len(), 0 | 3)
                    && given.iter().all(|side| (1..=100_000).contains(side)),
                Code::QuantityInvalid,
                &field("lengthMm"),
                "either all three sides are given, 1 to 100000 mm, or none",
            );
            parcels.push(Parcel {
                weight_grams: parcel.weight_grams,
                dimensions: match given[..] {
                    [length_mm, width_mm, height_mm] => Some(Dimensions {
                        length_mm,
                        width_mm,
                        height_mm,
                    }),
                    _ => None,
                },
            });
        }
        let to = country("input.address.country", &self.address.country);
        let to = to.unwrap_or_else(|problem| {
            checks.refuse(problem);
            String::new()
        });
        let site = match from_global::<entity::WarehouseId>(&self.warehouse_id, "input.warehouseId")
        {
            Ok(id) => {
                let rows = warehouse::Entity::find_by_id(id);
                let found = rows.one(&app(ctx).db.read).await?;
                found.ok_or_else(|| Problem::not_found("Warehouse").at("input.warehouseId"))
            }
            Err(problem) => Err(problem),
        };
        let from = match site {
            Ok(site) => Party::from(&site),
            Err(problem) => {
                checks.refuse(problem);
                Party::default()
            }
        };
        checks.done()?;
        let route = Route {
            from,
            to: Party {
                line1: self.address.line1,
                city: self.address.city,
                region: self.address.region,
                postal_code: self.address.postal_code.clone(),
                country: to.clone(),
                ..Party::default()
            },
        };
        let sending = Sending {
            parcels,
            origin: route.from.country.clone(),
            destination: Destination {
                country: to,
                postal_code: self.address.postal_code,
                po_box: self.address.po_box,
                residential: self.address.residential,
            },
            service_level: self.service_level.map(|level| level.trim().to_uppercase()),
            promised_by: self.promised_by,
            ready_at: self.ready_at.unwrap_or_else(|| app(ctx).clock.now()),
            dangerous_goods: self.dangerous_goods,
            currency: self.currency.0,
        };
        Ok((route, sending))
    }
}

/// What `shippingQuote` came to.
#[derive(SimpleObject)]
pub struct ShippingQuotePayload {
    /// The candidates; null if the input was refused.
    pub quote: Option<ShippingQuote>,
    /// Why nothing was asked; empty if it was.
    pub user_errors: Vec<UserError>,
}

/// Reads of carriers.
#[derive(Default)]
pub struct CarrierQuery;

/// Reads of carriers.
#[Object]
impl CarrierQuery {
    /// The carriers, by code. Needs the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "cost(first, child_complexity)"
    )]
    async fn carriers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 50 unless told, at most 250.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind.")] after: Option<String>,
    ) -> Result<Rows<Carrier>> {
        let sort = Sort {
            column: carrier::Column::Code,
            id: carrier::Column::Id,
            order: Order::Asc,
            key: |row: &carrier::Model| (row.code.clone(), row.id.0),
        };
        page(
            app(ctx),
            carrier::Entity::find(),
            sort,
            first,
            after,
            Carrier,
        )
        .await
    }

    /// What the carriers would take for a shipment, and which of them would be chosen. Carriers
    /// that can be asked are asked now; if there is no answer, our tables stand in, and each
    /// candidate says so. Refusals: NOT_FOUND, QUANTITY_INVALID, TOO_MANY, INVALID_INPUT. Needs
    /// the scope CATALOGUE_READ.
    #[graphql(
        guard = "Allowed(Scope::CatalogueRead)",
        complexity = "100 + 20 * child_complexity"
    )]
    async fn shipping_quote(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, from where, where to.")] input: ShippingQuoteInput,
    ) -> Result<ShippingQuotePayload> {
        let chosen = match input.read(ctx).await {
            Ok((route, sending)) => app(ctx).choose_carrier(&route, &sending).await,
            Err(failure) => Err(failure),
        };
        let (quote, user_errors) = outcome(chosen)?;
        Ok(ShippingQuotePayload {
            quote: quote.map(ShippingQuote),
            user_errors,
        })
    }
}

/// What `carrierSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierSaveInput {
    /// Which carrier, or the new one's name in feeds: 1 to 64 characters, no blanks.
    pub code: String,
    /// Its name on screens, 1 to 300 characters (NAME_INVALID).
    pub name: String,
    /// Who is asked for its labels.
    pub adapter: CarrierAdapter,
    /// Where customers follow a parcel: a web address with `{number}` in it.
    pub tracking_url: Option<String>,
    /// What the numbers that we give begin with: at most 6 letters and digits.
    #[graphql(default)]
    pub tracking_prefix: String,
    /// The secret that its messages are signed with, 16 to 200 bytes; as before if not given. It
    /// is never shown.
    pub webhook_secret: Option<String>,
    /// Whether parcels are given to it.
    #[graphql(default = true)]
    pub active: bool,
    /// The version that you have seen, 0 for a new one (STALE_VERSION).
    pub expected_version: Option<i64>,
}

impl CarrierSaveInput {
    fn command(self) -> carriers::SaveCarrier {
        carriers::SaveCarrier {
            code: self.code,
            name: self.name,
            adapter: Adapter::from(self.adapter),
            tracking_url: self.tracking_url,
            tracking_prefix: self.tracking_prefix,
            webhook_secret: self.webhook_secret,
            active: self.active,
            expected_version: self.expected_version,
        }
    }
}

/// What `carrierServiceSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierServiceSaveInput {
    /// The carrier (NOT_FOUND).
    pub carrier_id: ID,
    /// Which service, or the new one's name in feeds: 1 to 64 characters, no blanks.
    pub code: String,
    /// Its name on screens, 1 to 300 characters (NAME_INVALID).
    pub name: String,
    /// What customers chose that it fulfils, kept in capitals.
    #[graphql(default_with = "\"STANDARD\".to_owned()")]
    pub service_level: String,
    /// When the day's parcels are taken: `16:30`. At that minute it is too late.
    pub cut_off: String,
    /// Whose clocks show that: a name of the IANA database.
    pub time_zone: String,
    /// The days on which parcels are taken, at least one.
    pub pickup_weekdays: Vec<Weekday>,
    /// The days on which parcels are delivered, at least one.
    pub delivery_weekdays: Vec<Weekday>,
    /// How many delivery days behind the pick-up a parcel arrives, 0 to 60 (QUANTITY_INVALID).
    pub transit_days: i32,
    /// What a parcel may weigh, in grams; anything if not given.
    pub max_grams: Option<i64>,
    /// How long a parcel's longest side may be, in millimetres; any length if not given.
    pub max_length_mm: Option<i32>,
    /// What the longest side and the way around the others may add up to, in millimetres; anything
    /// if not given.
    pub max_girth_mm: Option<i32>,
    /// How many cubic centimetres count as a kilogram; only the scale counts if not given.
    pub volumetric_divisor: Option<i32>,
    /// Whether post-office boxes are served.
    #[graphql(default)]
    pub po_boxes: bool,
    /// Whether dangerous goods are taken.
    #[graphql(default)]
    pub dangerous_goods: bool,
    /// The only countries served, of those of the zones; all of them if empty.
    #[graphql(default, validator(max_items = 300))]
    pub only_countries: Vec<String>,
    /// Countries not served though a zone has them.
    #[graphql(default, validator(max_items = 300))]
    pub except_countries: Vec<String>,
    /// Whether it is chosen.
    #[graphql(default = true)]
    pub active: bool,
    /// The version that you have seen, 0 for a new one (STALE_VERSION).
    pub expected_version: Option<i64>,
}

impl CarrierServiceSaveInput {
    fn command(self) -> Result<carriers::SaveService, Problem> {
        Ok(carriers::SaveService {
            carrier_id: from_global(&self.carrier_id, "input.carrierId")?,
            code: self.code,
            name: self.name,
            service_level: self.service_level,
            cut_off: self.cut_off,
            time_zone: self.time_zone,
            pickup_weekdays: weekdays(self.pickup_weekdays),
            delivery_weekdays: weekdays(self.delivery_weekdays),
            transit_days: self.transit_days,
            max_grams: self.max_grams,
            max_length_mm: self.max_length_mm,
            max_girth_mm: self.max_girth_mm,
            volumetric_divisor: self.volumetric_divisor,
            po_boxes: self.po_boxes,
            dangerous_goods: self.dangerous_goods,
            only_countries: self.only_countries,
            except_countries: self.except_countries,
            active: self.active,
            expected_version: self.expected_version,
        })
    }
}

/// What `carrierZoneSave` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierZoneSaveInput {
    /// The carrier (NOT_FOUND).
    pub carrier_id: ID,
    /// Which zone, or the new one's name in feeds: 1 to 64 characters, no blanks.
    pub code: String,
    /// ISO 3166-1 alpha-2 codes; or `*` alone for every country that no other zone has.
    #[graphql(validator(max_items = 300))]
    pub countries: Vec<String>,
    /// What postal codes begin with there, for a zone of one country; the whole country if empty.
    #[graphql(default, validator(max_items = 1000))]
    pub postal_prefixes: Vec<String>,
    /// ISO 3166-1 alpha-2 codes of the countries that parcels leave from, for rates that differ by
    /// origin; every country that no other zone of the carrier names, if empty.
    #[graphql(default, validator(max_items = 300))]
    pub from_countries: Vec<String>,
    /// How many delivery days more than the service says it takes there, 0 to 60.
    #[graphql(default)]
    pub extra_days: i32,
}

impl CarrierZoneSaveInput {
    fn command(self) -> Result<carriers::SaveZone, Problem> {
        Ok(carriers::SaveZone {
            carrier_id: from_global(&self.carrier_id, "input.carrierId")?,
            code: self.code,
            countries: self.countries,
            postal_prefixes: self.postal_prefixes,
            from_countries: self.from_countries,
            extra_days: self.extra_days,
        })
    }
}

/// A step of the rates.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct CarrierRateInput {
    /// Up to this billable weight, in grams, at least 1; no two alike.
    pub up_to_grams: i64,
    /// The price, in major units of the currency.
    pub price: Decimal,
}

/// What `carrierRatesReplace` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierRatesReplaceInput {
    /// The service (NOT_FOUND).
    pub service_id: ID,
    /// A zone of its carrier (NOT_FOUND).
    pub zone_id: ID,
    /// Of the prices.
    pub currency: CurrencyCode,
    /// All steps, at most 200; the service does not go there if empty.
    #[graphql(validator(max_items = 200))]
    pub rates: Vec<CarrierRateInput>,
}

impl CarrierRatesReplaceInput {
    fn command(self) -> Result<carriers::ReplaceRates, Problem> {
        let currency = self.currency.0;
        let mut rates = Vec::with_capacity(self.rates.len());
        for (place, rate) in self.rates.into_iter().enumerate() {
            let field = format!("input.rates.{place}.price");
            rates.push((rate.up_to_grams, minor(rate.price, currency, &field)?));
        }
        Ok(carriers::ReplaceRates {
            service_id: from_global(&self.service_id, "input.serviceId")?,
            zone_id: from_global(&self.zone_id, "input.zoneId")?,
            currency,
            rates,
        })
    }
}

/// A surcharge as it is to be.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierSurchargeInput {
    /// What it is for.
    pub kind: SurchargeKind,
    /// How much of the rate, 0 to 10: 0.15 is 15 %. Either this or an amount.
    pub percent: Option<Decimal>,
    /// How much for a parcel. It is asked of shipments in its currency.
    pub amount: Option<MoneyInput>,
    /// Where it is asked; everywhere if empty. REMOTE says where.
    #[graphql(default, validator(max_items = 300))]
    pub countries: Vec<String>,
    /// What postal codes begin with where it is asked; any if empty.
    #[graphql(default, validator(max_items = 1000))]
    pub postal_prefixes: Vec<String>,
    /// OVERSIZE: for parcels longer than this, in millimetres.
    pub above_length_mm: Option<i32>,
    /// OVERSIZE: for parcels whose longest side and way around the others add up to more, in
    /// millimetres.
    pub above_girth_mm: Option<i32>,
    /// OVERSIZE: for parcels that weigh more than this, in grams.
    pub above_grams: Option<i64>,
}

/// What `carrierSurchargesReplace` needs.
#[derive(Clone, Debug, InputObject)]
pub struct CarrierSurchargesReplaceInput {
    /// The service (NOT_FOUND).
    pub service_id: ID,
    /// All of its surcharges, at most 50.
    #[graphql(validator(max_items = 50))]
    pub surcharges: Vec<CarrierSurchargeInput>,
}

impl CarrierSurchargesReplaceInput {
    fn command(self) -> Result<carriers::ReplaceSurcharges, Problem> {
        let mut surcharges = Vec::with_capacity(self.surcharges.len());
        for (place, new) in self.surcharges.into_iter().enumerate() {
            let field = format!("input.surcharges.{place}.amount");
            let amount = new.amount.map(|amount| amount.read(&field)).transpose()?;
            surcharges.push(carriers::NewSurcharge {
                kind: new.kind.into(),
                percent: new.percent.map(|part| part.0),
                amount: amount.map(|money| (money.minor, money.currency)),
                countries: new.countries,
                postal_prefixes: new.postal_prefixes,
                above_length_mm: new.above_length_mm,
                above_girth_mm: new.above_girth_mm,
                above_grams: new.above_grams,
            });
        }
        Ok(carriers::ReplaceSurcharges {
            service_id: from_global(&self.service_id, "input.serviceId")?,
            surcharges,
        })
    }
}

payloads! {
    /// What `carrierSave` came to.
    CarrierSavePayload {
        /// The carrier; null if it was refused.
        carrier: Carrier
    }
    /// What `carrierServiceSave` came to.
    CarrierServiceSavePayload {
        /// The service; null if it was refused.
        carrier_service: CarrierService
    }
    /// What `carrierZoneSave` came to.
    CarrierZoneSavePayload {
        /// The zone; null if it was refused.
        carrier_zone: CarrierZone
    }
    /// What `carrierRatesReplace` came to.
    CarrierRatesReplacePayload {
        /// The service; null if it was refused.
        carrier_service: CarrierService
    }
    /// What `carrierSurchargesReplace` came to.
    CarrierSurchargesReplacePayload {
        /// The service; null if it was refused.
        carrier_service: CarrierService
    }
}

/// Changes of carriers.
#[derive(Default)]
pub struct CarrierMutation;

/// Changes of carriers.
#[Object]
impl CarrierMutation {
    /// Makes or changes a carrier, named by its code. Refusals: INVALID_INPUT, NAME_INVALID,
    /// STALE_VERSION, CODE_TAKEN (somebody else is making it). Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn carrier_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the carrier is to be.")] input: CarrierSaveInput,
    ) -> Result<CarrierSavePayload> {
        let cmd = Ok(input.command());
        Ok(run_on_reference(ctx, cmd, carriers::save).await?.into())
    }

    /// Makes or changes a service of a carrier, named by its code. Refusals: NOT_FOUND,
    /// INVALID_INPUT, NAME_INVALID, QUANTITY_INVALID, STALE_VERSION, CODE_TAKEN (somebody else is
    /// making it). Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn carrier_service_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the service is to be.")] input: CarrierServiceSaveInput,
    ) -> Result<CarrierServiceSavePayload> {
        let cmd = input.command();
        let saved = run_on_reference(ctx, cmd, carriers::save_service).await?;
        Ok(saved.into())
    }

    /// Makes or changes a zone of a carrier, named by its code. Refusals: NOT_FOUND, INVALID_INPUT,
    /// QUANTITY_INVALID, CODE_TAKEN (somebody else is making it). Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn carrier_zone_save(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the zone is to be.")] input: CarrierZoneSaveInput,
    ) -> Result<CarrierZoneSavePayload> {
        let cmd = input.command();
        let saved = run_on_reference(ctx, cmd, carriers::save_zone).await?;
        Ok(saved.into())
    }

    /// Replaces what a service costs in a zone, in one currency. Refusals: NOT_FOUND,
    /// AMOUNT_INVALID, QUANTITY_INVALID, TOO_MANY, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn carrier_rates_replace(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service, the zone and all steps.")] input: CarrierRatesReplaceInput,
    ) -> Result<CarrierRatesReplacePayload> {
        let cmd = input.command();
        let saved = run_on_reference(ctx, cmd, carriers::replace_rates).await?;
        Ok(saved.into())
    }

    /// Replaces what a service asks on top. Refusals: NOT_FOUND, AMOUNT_INVALID, QUANTITY_INVALID,
    /// TOO_MANY, INVALID_INPUT. Needs the scope CATALOGUE_MANAGE.
    #[graphql(guard = "Allowed(Scope::CatalogueManage)")]
    async fn carrier_surcharges_replace(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The service and all of its surcharges.")]
        input: CarrierSurchargesReplaceInput,
    ) -> Result<CarrierSurchargesReplacePayload> {
        let cmd = input.command();
        let saved = run_on_reference(ctx, cmd, carriers::replace_surcharges).await?;
        Ok(saved.into())
    }
}
