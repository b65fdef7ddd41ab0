//! Which warehouse sends what of a released order, and why.
//!
//! The rules are the channel's, most important first. Warehouse after warehouse is chosen, each time
//! the one that the first rule prefers, ties going to the next rule and at last to the warehouse's
//! code, until every unit has one. Units that are held elsewhere are moved there, in the same
//! transaction. What was looked at is kept with the work, so that "why this warehouse?" has an
//! answer later.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::fulfillment_order::Status;
use entity::{
    FulfillmentOrderId, LineId, OrderId, VariantId, WarehouseId, address, fulfillment_line,
    fulfillment_order, order, order_line, reservation, stock_movement, variant, warehouse,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Value as Json, json};

use super::{expect, lock_order, order_of, work_of};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate::Aggregate;
use crate::orders::allocation::{self, Allocation};
use crate::orders::work::Work;
use crate::orders::{self, Changed};
use crate::shipping::{Destination, Offers, Parcel, Sending, choose};
use crate::tx::Tx;

/// What may decide between warehouses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Who can send most of what is left.
    FewestSplits,
    /// Who is nearest to the customer: in the same country, then the longer common beginning of
    /// the postal codes.
    Nearest,
    /// Who comes first among the channel's warehouses.
    Priority,
    /// Who has the oldest stock of it.
    StockAge,
    /// From where a unit costs least to send, by the carriers' tables.
    Cheapest,
}

impl Rule {
    /// Every rule with its name in settings.
    pub const NAMES: [(Rule, &'static str); 5] = [
        (Rule::FewestSplits, "FEWEST_SPLITS"),
        (Rule::Nearest, "NEAREST"),
        (Rule::Priority, "PRIORITY"),
        (Rule::StockAge, "STOCK_AGE"),
        (Rule::Cheapest, "CHEAPEST"),
    ];

    /// The rules that an array of names lists; names that are none are left out.
    pub fn listed(names: &Json) -> Vec<Rule> {
        let known = |name: &Json| {
            Rule::NAMES
                .iter()
                .find(|(_, known)| name == known)
                .map(|(rule, _)| *rule)
        };
        names
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(known)
            .collect()
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        let named = |(rule, _): &&(Rule, _)| *rule == self;
        Rule::NAMES.iter().find(named).map_or("", |(_, name)| name)
    }

    /// How a candidate fares by the rule; less is better.
    fn value(self, candidate: &Candidate, trip: &Trip, wanted: &Units) -> i64 {
        match self {
            Rule::FewestSplits => -candidate.covers(wanted),
            Rule::Nearest => candidate.distance(&trip.destination),
            Rule::Priority => candidate.priority,
            Rule::StockAge => candidate.oldest.map_or(i64::MAX, |at| at.timestamp()),
            Rule::Cheapest => candidate.unit_cost(trip, wanted),
        }
    }
}

/// How many units of each line.
type Units = BTreeMap<LineId, i64>;

/// What a parcel of so many grams costs from a country, in minor units; none = nobody takes it.
type Cost<'a> = dyn Fn(&str, i64) -> Option<i64> + 'a;

/// Where an order goes, and what it costs to get it there.
pub struct Trip<'a> {
    /// Where to.
    pub destination: Destination,
    /// What a unit of each line weighs, in grams.
    pub grams: Units,
    /// What a parcel costs.
    pub cost: &'a Cost<'a>,
}

/// A warehouse that could send units.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The warehouse.
    pub id: WarehouseId,
    /// Its code.
    pub code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its postal code.
    pub postal_code: String,
    /// Its place among the channel's warehouses, from 0.
    pub priority: i64,
    /// How many units of each line it can send.
    pub units: Units,
    /// When the oldest of it was received, if a rule asks.
    pub oldest: Option<DateTime<Utc>>,
}

/// Farther than any postal code is long.
const ABROAD: i64 = 1_000;

impl Candidate {
    /// How far it is: 0 is next door.
    fn distance(&self, to: &Destination) -> i64 {
        if self.country != to.country {
            return ABROAD;
        }
        let digits = |text: &str| {
            let kept = text.chars().filter(|c| c.is_alphanumeric());
            kept.flat_map(char::to_uppercase).collect::<Vec<char>>()
        };
        let theirs = to.postal_code.as_deref().unwrap_or_default();
        let (own, theirs) = (digits(&self.postal_code), digits(theirs));
        let common = own.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let longest = own.len().max(theirs.len());
        i64::try_from(longest - common).unwrap_or(ABROAD)
    }

    /// Which of the wanted units it can send.
    fn sends<'a>(&'a self, wanted: &'a Units) -> impl Iterator<Item = (LineId, i64)> + 'a {
        wanted.iter().map(|(line, units)| {
            let has = self.units.get(line).copied().unwrap_or_default();
            (*line, std::cmp::min(has, *units))
        })
    }

    /// How many of the wanted units it can send.
    fn covers(&self, wanted: &Units) -> i64 {
        self.sends(wanted).map(|(_, units)| units).sum()
    }

    /// What it costs to send in one parcel what it can of the wanted units, in minor units; none =
    /// nobody takes it.
    fn cost(&self, trip: &Trip, wanted: &Units) -> Option<i64> {
        let weighs = |line| trip.grams.get(&line).copied().unwrap_or_default();
        let grams = self
            .sends(wanted)
            .map(|(line, units)| weighs(line).saturating_mul(units))
            .fold(0, i64::saturating_add);
        (trip.cost)(&self.country, grams)
    }

    /// What that is for a unit, in thousandths of minor units, since candidates send more or less
    /// of it. A parcel that nobody takes is the dearest.
    fn unit_cost(&self, trip: &Trip, wanted: &Units) -> i64 {
        let cost = self.cost(trip, wanted);
        cost.map_or(i64::MAX, |cost| {
            cost.saturating_mul(1_000) / std::cmp::max(self.covers(wanted), 1)
        })
    }
}

/// What one warehouse is to send.
#[derive(Clone, Debug)]
pub struct Route {
    /// The warehouse.
    pub warehouse: WarehouseId,
    /// How many units of each line.
    pub units: Units,
    /// Why: the rules, what each candidate came to, and what decided.
    pub why: Json,
}

/// Chooses warehouses until every unit that anybody has is given to one.
pub fn plan(rules: &[Rule], trip: &Trip, wanted: &Units, candidates: &[Candidate]) -> Vec<Route> {
    let mut wanted = wanted.clone();
    let mut routes: Vec<Route> = Vec::new();
    let mut taken: BTreeSet<WarehouseId> = BTreeSet::new();
    loop {
        wanted.retain(|_, units| *units > 0);
        let rank = |candidate: &&Candidate| {
            let values: Vec<i64> = rules
                .iter()
                .map(|rule| rule.value(candidate, trip, &wanted))
                .collect();
            (values, candidate.code.clone())
        };
        let mut able: Vec<&Candidate> = candidates
            .iter()
            .filter(|one| !taken.contains(&one.id) && one.covers(&wanted) > 0)
            .collect();
        able.sort_by_cached_key(|candidate| rank(candidate));
        let Some(best) = able.first() else {
            return routes;
        };
        let why = explain(rules, trip, &wanted, &able, routes.len());
        let units: Units = best
            .sends(&wanted)
            .filter(|(_, units)| *units > 0)
            .collect();
        for (line, units) in &units {
            if let Some(left) = wanted.get_mut(line) {
                *left -= units;
            }
        }
        taken.insert(best.id);
        routes.push(Route {
            warehouse: best.id,
            units,
            why,
        });
    }
}

/// What was looked at, and what decided. The best candidate is the first.
fn explain(
    rules: &[Rule],
    trip: &Trip,
    wanted: &Units,
    able: &[&Candidate],
    before: usize,
) -> Json {
    let asked: i64 = wanted.values().sum();
    let asks_cost = rules.contains(&Rule::Cheapest);
    let listed: Vec<Json> = able
        .iter()
        .enumerate()
        .map(|(place, candidate)| {
            json!({
                "warehouse": candidate.code,
                "units": candidate.covers(wanted),
                "distance": match candidate.distance(&trip.destination) {
                    ABROAD => json!("another country"),
                    steps => json!(steps),
                },
                "priority": candidate.priority + 1,
                "oldestReceipt": candidate.oldest,
                "costMinor": asks_cost.then(|| candidate.cost(trip, wanted)).flatten(),
                "chosen": place == 0,
            })
        })
        .collect();
    let best = able[0];
    let reason = match able.get(1) {
        None => format!("only {} has what is left to send", best.code),
        Some(next) => {
            let decides = rules.iter().find(|rule| {
                let value = |one: &Candidate| rule.value(one, trip, wanted);
                value(best) != value(next)
            });
            let (covers, other) = (best.covers(wanted), next.covers(wanted));
            match decides {
                Some(Rule::FewestSplits) => format!(
                    "{} can send {covers} of {asked} units, {} {other}",
                    best.code, next.code
                ),
                Some(Rule::Nearest) => {
                    format!("{} is nearer to the customer than {}", best.code, next.code)
                }
                Some(Rule::Priority) => {
                    format!("{} comes before {} for the channel", best.code, next.code)
                }
                Some(Rule::StockAge) => {
                    format!("{} has older stock than {}", best.code, next.code)
                }
                Some(Rule::Cheapest) => format!(
                    "a unit costs less to send from {} than from {}",
                    best.code, next.code
                ),
                None => format!(
                    "{} and {} are equal; the code decides",
                    best.code, next.code
                ),
            }
        }
    };
    json!({
        "rules": rules.iter().map(|rule| rule.name()).collect::<Vec<_>>(),
        "asked": asked,
        "after": before,
        "candidates": listed,
        "reason": reason,
    })
}

/// How many orders are routed in a round.
const AT_ONCE: u64 = 200;

/// The orders with units that no warehouse was told to send, oldest release first.
pub async fn due(db: &impl ConnectionTrait) -> Result<Vec<OrderId>, DbErr> {
    order::Entity::find()
        .select_only()
        .column(order::Column::Id)
        .filter(order::Column::Unrouted.eq(true))
        .order_by_asc(order::Column::ConfirmedAt)
        .limit(AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// Tells warehouses to send what is held of an order and nobody was told to send. Says how many
/// were told: none if somebody else was quicker.
pub async fn route(tx: &Tx, reference: &Reference, id: OrderId) -> Result<usize, Failure> {
    let variants = allocation::variants_of(tx, &[id]).await?;
    let mut allocation = Allocation::lock(tx, reference, variants, &[id]).await?;
    let Some(aggregate) = allocation.orders.get(&id) else {
        return Ok(0);
    };
    let wanted = aggregate.unrouted();
    if !aggregate.order.unrouted {
        return Ok(0);
    }
    if wanted.is_empty() {
        // Its mark is of an older day; saving it takes the mark off.
        if let Some(aggregate) = allocation.orders.get_mut(&id) {
            aggregate.touch();
        }
        allocation.put_back(tx);
        return Ok(1);
    }
    let rules = rules_of(reference, aggregate);
    let held = held(tx, aggregate).await?;
    let destination = destination(tx, aggregate).await?;
    let candidates = candidates(tx, reference, &allocation, id, &wanted, &held, &rules).await?;
    let goods = match rules.contains(&Rule::Cheapest) {
        true => goods(tx, aggregate).await?,
        false => HashMap::new(),
    };
    let routes = {
        let sending = sending(tx, aggregate, &destination, goods.values());
        let trip = Trip {
            destination,
            grams: weights(aggregate, &goods),
            cost: &|origin, grams| parcel_cost(reference, &sending, origin, grams),
        };
        plan(&rules, &trip, &wanted, &candidates)
    };
    for route in &routes {
        for (line, units) in &route.units {
            gather(
                tx,
                &mut allocation,
                id,
                *line,
                route.warehouse,
                *units,
                &held,
                &routes,
            )
            .await?;
        }
    }
    let told = routes.len();
    let made = open_work(tx, &mut allocation, id, routes).await?;
    if let Some(aggregate) = allocation.orders.get_mut(&id) {
        let units = wanted.values().sum();
        aggregate.record(
            tx,
            Event::OrderRouted {
                fulfillment_orders: made.iter().map(|id| id.0).collect(),
                units,
            },
        );
    }
    allocation.put_back(tx);
    Ok(told)
}

/// The rules of an order's channel; priority if it has none.
fn rules_of(reference: &Reference, aggregate: &Aggregate) -> Vec<Rule> {
    let mut rules = reference
        .channel(aggregate.order.channel_id)
        .map(|channel| Rule::listed(&channel.row.routing))
        .unwrap_or_default();
    if rules.is_empty() {
        rules.push(Rule::Priority);
    }
    rules
}

/// Units that are held for good in a warehouse and belong to no open work there.
type Held = BTreeMap<(LineId, WarehouseId), i64>;

async fn held(tx: &Tx, aggregate: &Aggregate) -> Result<Held, DbErr> {
    let mut held = Held::new();
    for row in reservation::Entity::find()
        .filter(reservation::Column::OrderId.eq(aggregate.order.id))
        .filter(reservation::Column::Status.eq(reservation::Status::Allocated))
        .all(tx.db())
        .await?
    {
        *held.entry((row.line_id, row.warehouse_id)).or_default() += row.quantity;
    }
    for work in aggregate.work.iter().filter(|work| work.is_open()) {
        for line in &work.lines {
            if let Some(units) = held.get_mut(&(line.line_id, work.row.warehouse_id)) {
                *units -= line.quantity;
            }
        }
    }
    held.retain(|_, units| *units > 0);
    Ok(held)
}

async fn destination(tx: &Tx, aggregate: &Aggregate) -> Result<Destination, DbErr> {
    let row = address::Entity::find_by_id(aggregate.order.shipping_address_id)
        .one(tx.db())
        .await?;
    Ok(row.as_ref().map(Destination::from).unwrap_or_default())
}

/// What an order is of.
async fn goods(
    tx: &Tx,
    aggregate: &Aggregate,
) -> Result<HashMap<VariantId, variant::Model>, DbErr> {
    let ids = aggregate.lines.iter().filter_map(|line| line.variant_id);
    let rows = variant::Entity::find().filter(variant::Column::Id.is_in(ids));
    let rows = rows.all(tx.db()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// What a unit of each line weighs, in grams.
fn weights(aggregate: &Aggregate, goods: &HashMap<VariantId, variant::Model>) -> Units {
    let weigh = |line: &order_line::Model| {
        let variant = goods.get(&line.variant_id?)?;
        Some((line.id, variant.weight_grams))
    };
    aggregate.lines.iter().filter_map(weigh).collect()
}

/// What the carriers' tables are asked about an order, but for the parcel and where it leaves from.
fn sending<'a>(
    tx: &Tx,
    aggregate: &Aggregate,
    destination: &Destination,
    mut goods: impl Iterator<Item = &'a variant::Model>,
) -> Sending {
    Sending {
        parcels: Vec::new(),
        origin: String::new(),
        destination: destination.clone(),
        service_level: Some(aggregate.order.service_level.clone()),
        promised_by: None,
        ready_at: tx.now,
        dangerous_goods: goods.any(|variant| variant.dangerous_goods),
        currency: aggregate.order.currency,
    }
}

/// What one parcel of so many grams costs from a country, by the carriers' tables: its size is not
/// known before it is packed.
fn parcel_cost(reference: &Reference, sending: &Sending, origin: &str, grams: i64) -> Option<i64> {
    let sending = Sending {
        parcels: vec![Parcel {
            weight_grams: std::cmp::max(grams, 1),
            dimensions: None,
        }],
        origin: origin.to_owned(),
        ..sending.clone()
    };
    let choice = choose(reference.tariffs(), &Offers::NotAsked, &sending);
    choice.chosen().and_then(|service| service.cost_minor)
}

/// The warehouses that hold units of it, and those that serve its channel and could.
async fn candidates(
    tx: &Tx,
    reference: &Reference,
    allocation: &Allocation<'_>,
    id: OrderId,
    wanted: &Units,
    held: &Held,
    rules: &[Rule],
) -> Result<Vec<Candidate>, DbErr> {
    let Some(aggregate) = allocation.orders.get(&id) else {
        return Ok(Vec::new());
    };
    let mut serving: Vec<WarehouseId> = reference
        .channel(aggregate.order.channel_id)
        .map(|channel| channel.warehouses.clone())
        .unwrap_or_default();
    for (_, warehouse) in held.keys() {
        if !serving.contains(warehouse) {
            serving.push(*warehouse);
        }
    }
    let variants: HashMap<LineId, VariantId> = aggregate
        .lines
        .iter()
        .filter_map(|line| Some((line.id, line.variant_id?)))
        .collect();
    let rows: HashMap<WarehouseId, warehouse::Model> = warehouse::Entity::find()
        .filter(warehouse::Column::Id.is_in(serving.iter().copied()))
        .all(tx.db())
        .await?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut candidates = Vec::new();
    for (priority, id) in (0..).zip(serving) {
        let Some(row) = rows.get(&id) else {
            continue;
        };
        let mut free: BTreeMap<VariantId, i64> = BTreeMap::new();
        let mut units = BTreeMap::new();
        for (line, wants) in wanted {
            let Some(variant) = variants.get(line) else {
                continue;
            };
            let own = held.get(&(*line, id)).copied().unwrap_or_default();
            let spare = free
                .entry(*variant)
                .or_insert_with(|| allocation.shelf.available(*variant, &[id]));
            // A warehouse that takes no work any more sends what it holds, and nothing besides.
            let more = match row.active {
                true => std::cmp::min(*spare, wants - std::cmp::min(own, *wants)),
                false => 0,
            };
            *spare -= more;
            units.insert(*line, own + more);
        }
        let oldest = match rules.contains(&Rule::StockAge) {
            true => oldest_receipt(tx, id, variants.values().copied()).await?,
            false => None,
        };
        candidates.push(Candidate {
            id,
            code: row.code.clone(),
            country: row.country.clone(),
            postal_code: row.postal_code.clone().unwrap_or_default(),
            priority,
            units,
            oldest,
        });
    }
    Ok(candidates)
}

/// When the oldest of these was received in a warehouse.
async fn oldest_receipt(
    tx: &Tx,
    warehouse: WarehouseId,
    variants: impl Iterator<Item = VariantId>,
) -> Result<Option<DateTime<Utc>>, DbErr> {
    let oldest = stock_movement::Entity::find()
        .filter(stock_movement::Column::WarehouseId.eq(warehouse))
        .filter(stock_movement::Column::VariantId.is_in(variants))
        .filter(stock_movement::Column::Kind.eq(stock_movement::Kind::Receive))
        .order_by_asc(stock_movement::Column::OccurredAt)
        .one(tx.db())
        .await?;
    Ok(oldest.map(|movement| movement.occurred_at))
}

/// Brings units of a line to the warehouse that is to send them, from those that hold more of it
/// than they are to send.
#[allow(clippy::too_many_arguments, reason = "one step of one algorithm")]
async fn gather(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    order: OrderId,
    line: LineId,
    to: WarehouseId,
    units: i64,
    held: &Held,
    routes: &[Route],
) -> Result<(), Failure> {
    let own = held.get(&(line, to)).copied().unwrap_or_default();
    let mut wants = units - std::cmp::min(own, units);
    for ((of, from), has) in held {
        if wants == 0 {
            break;
        }
        if *of != line || *from == to {
            continue;
        }
        let keeps = routes
            .iter()
            .find(|route| route.warehouse == *from)
            .and_then(|route| route.units.get(&line))
            .copied()
            .unwrap_or_default();
        let spare = std::cmp::min(wants, *has - std::cmp::min(keeps, *has));
        if spare > 0 {
            wants -= allocation
                .relocate(tx, order, line, (*from, to), spare)
                .await?;
        }
    }
    if wants > 0 {
        return Err(Failure::Internal(format!(
            "{wants} units of a line could not be moved to the warehouse that was chosen"
        )));
    }
    Ok(())
}

/// Makes the work that routes come to.
async fn open_work(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    id: OrderId,
    routes: Vec<Route>,
) -> Result<Vec<FulfillmentOrderId>, Failure> {
    let mut position = last_position(tx, id).await?;
    let Some(aggregate) = allocation.orders.get_mut(&id) else {
        return Ok(Vec::new());
    };
    let mut made = Vec::new();
    for route in routes {
        position += 1;
        let work = new_work(tx, aggregate, position, route);
        made.push(work.row.id);
        aggregate.work.push(work);
    }
    Ok(made)
}

/// The place of the newest work on an order, taken away or not.
async fn last_position(tx: &Tx, id: OrderId) -> Result<i32, DbErr> {
    let newest = fulfillment_order::Entity::find()
        .filter(fulfillment_order::Column::OrderId.eq(id))
        .order_by_desc(fulfillment_order::Column::Position)
        .one(tx.db())
        .await?;
    Ok(newest.map_or(0, |row| row.position))
}

fn new_work(tx: &Tx, aggregate: &Aggregate, position: i32, route: Route) -> Work {
    let id: FulfillmentOrderId = tx.id();
    let lines = aggregate
        .lines
        .iter()
        .filter_map(|line| {
            Some(fulfillment_line::Model {
                fulfillment_order_id: id,
                line_id: line.id,
                variant_id: line.variant_id?,
                quantity: *route.units.get(&line.id)?,
                picked: 0,
                packed: 0,
            })
        })
        .collect();
    let row = fulfillment_order::Model {
        id,
        number: format!("{}-{position}", aggregate.order.number),
        order_id: aggregate.order.id,
        warehouse_id: route.warehouse,
        position,
        status: Status::Open,
        wave_id: None,
        routing: route.why,
        hold_reason: None,
        created_at: tx.now,
        updated_at: tx.now,
        closed_at: None,
    };
    Work::new(row, lines)
}

/// What [`relocate`] needs.
#[derive(Clone, Debug)]
pub struct Relocate {
    /// Which work.
    pub id: FulfillmentOrderId,
    /// The warehouse that is to do it; none = whichever the rules choose now.
    pub warehouse_id: Option<WarehouseId>,
    /// Why.
    pub reason: String,
}

/// Gives work that nobody has begun to another warehouse, or to whichever the rules choose now.
pub async fn relocate(tx: &Tx, reference: &Reference, cmd: &Relocate) -> Result<Changed, Failure> {
    let reason = orders::text("reason", &cmd.reason)?;
    let id = order_of(tx, cmd.id).await?;
    let variants = allocation::variants_of(tx, &[id]).await?;
    let mut allocation = Allocation::lock(tx, reference, variants, &[id]).await?;
    let Some(aggregate) = allocation.orders.get_mut(&id) else {
        return Err(Problem::not_found("order").into());
    };
    let work = work_of(aggregate, cmd.id)?;
    expect(work, &[Status::Open, Status::OnHold])?;
    let from = work.row.warehouse_id;
    let units: BTreeMap<LineId, i64> = work
        .lines
        .iter()
        .map(|line| (line.line_id, line.quantity))
        .collect();
    let left = work.row.number.clone();
    take_away(tx, aggregate, cmd.id);
    let made = match cmd.warehouse_id {
        Some(to) if to == from => {
            return Err(refused("it is that warehouse's already")
                .at("input.warehouseId")
                .into());
        }
        Some(to) => {
            let serves = reference
                .channel(aggregate.order.channel_id)
                .is_some_and(|channel| channel.warehouses.contains(&to));
            if !serves {
                return Err(refused("the warehouse does not serve the order's channel")
                    .at("input.warehouseId")
                    .into());
            }
            for (line, wants) in &units {
                let moved = allocation
                    .relocate(tx, id, *line, (from, to), *wants)
                    .await?;
                if moved < *wants {
                    return Err(refused("the warehouse does not have all of it")
                        .at("input.warehouseId")
                        .with(json!({ "wanted": wants, "available": moved }))
                        .into());
                }
            }
            let why = json!({ "reason": reason, "by": tx.actor.name, "from": left });
            let route = Route {
                warehouse: to,
                units,
                why,
            };
            open_work(tx, &mut allocation, id, vec![route]).await?
        }
        None => Vec::new(),
    };
    if let Some(aggregate) = allocation.orders.get_mut(&id) {
        aggregate.record(
            tx,
            Event::OrderRerouted {
                from: vec![cmd.id.0],
                to: made.iter().map(|id| id.0).collect(),
                reason,
            },
        );
    }
    allocation.put_back(tx);
    Ok(Changed::only(id))
}

fn refused(message: &str) -> Problem {
    Problem::new(Code::RouteUnavailable, message)
}

/// Takes work away from its warehouse.
fn take_away(tx: &Tx, aggregate: &mut Aggregate, id: FulfillmentOrderId) {
    if let Some(work) = aggregate.work_mut(id) {
        let row = work.row_mut();
        row.status = Status::Cancelled;
        row.closed_at = Some(tx.now);
        row.wave_id = None;
    }
}

/// What [`split`] needs.
#[derive(Clone, Debug)]
pub struct Split {
    /// Which work.
    pub id: FulfillmentOrderId,
    /// The units that become work of their own.
    pub lines: Vec<(LineId, i64)>,
    /// Why.
    pub reason: String,
}

/// Makes some units of work that nobody has begun work of their own, in the same warehouse: to be
/// stopped, moved or sent by themselves.
pub async fn split(tx: &Tx, cmd: &Split) -> Result<Changed, Failure> {
    let reason = orders::text("reason", &cmd.reason)?;
    let id = order_of(tx, cmd.id).await?;
    let mut aggregate = lock_order(tx, id).await?;
    let position = last_position(tx, id).await? + 1;
    let work = work_of(&aggregate, cmd.id)?;
    expect(work, &[Status::Open, Status::OnHold])?;
    let mut units: BTreeMap<LineId, i64> = BTreeMap::new();
    for (place, (line, wants)) in cmd.lines.iter().enumerate() {
        let has = work.line(*line).map_or(0, |line| line.quantity);
        let sum = units.entry(*line).or_default();
        *sum += wants;
        if *wants < 1 || *sum > has {
            return Err(Problem::new(
                Code::QuantityInvalid,
                format!("the work has {has} units of this line"),
            )
            .at(&format!("input.lines.{place}.quantity"))
            .into());
        }
    }
    if units.is_empty() || units.values().sum::<i64>() == work.units() {
        return Err(Problem::new(
            Code::QuantityInvalid,
            "some units must go, and some must stay",
        )
        .at("input.lines")
        .into());
    }
    let route = Route {
        warehouse: work.row.warehouse_id,
        units: units.clone(),
        why: json!({ "reason": reason, "by": tx.actor.name, "from": work.row.number }),
    };
    let made = new_work(tx, &aggregate, position, route);
    let made_id = made.row.id;
    if let Some(work) = aggregate.work_mut(cmd.id) {
        for (line, goes) in &units {
            if let Some(line) = work.line_mut(*line) {
                line.quantity -= goes;
            }
        }
    }
    aggregate.work.push(made);
    aggregate.record(
        tx,
        Event::OrderRerouted {
            from: vec![cmd.id.0],
            to: vec![cmd.id.0, made_id.0],
            reason,
        },
    );
    aggregate.save(tx);
    Ok(Changed::only(id))
}

/// What [`merge`] needs.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The work that becomes one: of one order and warehouse, not begun, not stopped.
    pub ids: Vec<FulfillmentOrderId>,
}

/// Makes several pieces of work of an order in one warehouse one again.
pub async fn merge(tx: &Tx, cmd: &Merge) -> Result<Changed, Failure> {
    let distinct: BTreeSet<FulfillmentOrderId> = cmd.ids.iter().copied().collect();
    let Some(first) = cmd.ids.first().filter(|_| distinct.len() > 1) else {
        return Err(
            Problem::new(Code::InvalidInput, "two or more different ones are needed")
                .at("input.ids")
                .into(),
        );
    };
    let id = order_of(tx, *first).await?;
    let mut aggregate = lock_order(tx, id).await?;
    let position = last_position(tx, id).await? + 1;
    let mut units: BTreeMap<LineId, i64> = BTreeMap::new();
    let mut numbers = Vec::new();
    let warehouse = work_of(&aggregate, *first)?.row.warehouse_id;
    for one in &distinct {
        let work = work_of(&aggregate, *one)?;
        expect(work, &[Status::Open])?;
        if work.row.warehouse_id != warehouse || work.row.wave_id.is_some() {
            return Err(Problem::new(
                Code::FulfillmentStateInvalid,
                "they are in different warehouses, or one is in a wave",
            )
            .at("input.ids")
            .into());
        }
        numbers.push(work.row.number.clone());
        for line in &work.lines {
            *units.entry(line.line_id).or_default() += line.quantity;
        }
    }
    for one in &distinct {
        take_away(tx, &mut aggregate, *one);
    }
    let route = Route {
        warehouse,
        units,
        why: json!({ "reason": "merged", "by": tx.actor.name, "from": numbers }),
    };
    let made = new_work(tx, &aggregate, position, route);
    let made_id = made.row.id;
    aggregate.work.push(made);
    aggregate.record(
        tx,
        Event::OrderRerouted {
            from: distinct.iter().map(|id| id.0).collect(),
            to: vec![made_id.0],
            reason: "merged".to_owned(),
        },
    );
    aggregate.save(tx);
    Ok(Changed::only(id))
}

/// Stops a part of an order that nobody has begun; the rest goes on.
pub async fn hold(tx: &Tx, id: FulfillmentOrderId, reason: &str) -> Result<Changed, Failure> {
    let reason = orders::text("reason", reason)?;
    let order = order_of(tx, id).await?;
    let mut aggregate = lock_order(tx, order).await?;
    expect(work_of(&aggregate, id)?, &[Status::Open])?;
    if let Some(work) = aggregate.work_mut(id) {
        let row = work.row_mut();
        row.status = Status::OnHold;
        row.hold_reason = Some(reason.clone());
        row.wave_id = None;
    }
    aggregate.record(
        tx,
        Event::OrderWorkHeld {
            fulfillment_order_id: id,
            reason,
        },
    );
    aggregate.save(tx);
    Ok(Changed::only(order))
}

/// Lets a stopped part of an order go on.
pub async fn release(tx: &Tx, id: FulfillmentOrderId) -> Result<Changed, Failure> {
    let order = order_of(tx, id).await?;
    let mut aggregate = lock_order(tx, order).await?;
    expect(work_of(&aggregate, id)?, &[Status::OnHold])?;
    if let Some(work) = aggregate.work_mut(id) {
        let row = work.row_mut();
        row.status = Status::Open;
        row.hold_reason = None;
    }
    aggregate.record(
        tx,
        Event::OrderWorkReleased {
            fulfillment_order_id: id,
        },
    );
    aggregate.save(tx);
    Ok(Changed::only(order))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn line(n: u128) -> LineId {
        LineId(Uuid::from_u128(n))
    }

    fn site(n: u128, code: &str, units: &[(u128, i64)]) -> Candidate {
        Candidate {
            id: WarehouseId(Uuid::from_u128(n)),
            code: code.to_owned(),
            country: "AT".to_owned(),
            postal_code: "1100".to_owned(),
            priority: i64::try_from(n).unwrap_or_default(),
            units: units
                .iter()
                .map(|(of, units)| (line(*of), *units))
                .collect(),
            oldest: None,
        }
    }

    fn wants(units: &[(u128, i64)]) -> Units {
        units
            .iter()
            .map(|(of, units)| (line(*of), *units))
            .collect()
    }

    /// Sends what is wanted to Vienna; a parcel costs what its weight says in a table by country.
    fn trip(cost: &Cost<'_>, run: impl FnOnce(&Trip)) {
        run(&Trip {
            destination: Destination {
                country: "AT".to_owned(),
                postal_code: Some("1150".to_owned()),
                ..Destination::default()
            },
            grams: wants(&[(1, 100), (2, 900)]),
            cost,
        });
    }

    fn routes(rules: &[Rule], wanted: &Units, sites: &[Candidate]) -> Vec<Route> {
        let mut found = Vec::new();
        trip(&|_, grams| Some(grams), |trip| {
            found = plan(rules, trip, wanted, sites)
        });
        found
    }

    fn chosen(routes: &[Route]) -> Vec<u128> {
        routes
            .iter()
            .map(|route| route.warehouse.0.as_u128())
            .collect()
    }

    #[test]
    fn who_can_send_everything_is_chosen_before_who_comes_first() {
        let sites = [
            site(1, "BER", &[(1, 2), (2, 0)]),
            site(2, "VIE", &[(1, 2), (2, 3)]),
        ];
        let wanted = wants(&[(1, 2), (2, 3)]);
        let fewest = routes(&[Rule::FewestSplits, Rule::Priority], &wanted, &sites);
        assert_eq!(chosen(&fewest), [2]);
        assert_eq!(fewest[0].why["reason"], "VIE can send 5 of 5 units, BER 2");
        let first = routes(&[Rule::Priority], &wanted, &sites);
        assert_eq!(chosen(&first), [1, 2]);
        assert_eq!(
            first[0].why["reason"],
            "BER comes before VIE for the channel"
        );
        assert_eq!(first[1].why["reason"], "only VIE has what is left to send");
    }

    #[test]
    fn the_nearest_is_in_the_country_and_shares_the_beginning_of_the_postal_code() {
        let mut far = site(1, "GRZ", &[(1, 1)]);
        far.postal_code = "8010".to_owned();
        let near = site(2, "VIE", &[(1, 1)]);
        let mut abroad = site(3, "BER", &[(1, 1)]);
        abroad.country = "DE".to_owned();
        let nearest = routes(&[Rule::Nearest], &wants(&[(1, 1)]), &[abroad, far, near]);
        assert_eq!(chosen(&nearest), [2]);
    }

    #[test]
    fn the_cheapest_is_from_where_a_unit_costs_least_and_none_is_what_nobody_takes() {
        let mut german = site(1, "BER", &[(1, 2), (2, 2)]);
        german.country = "DE".to_owned();
        let austrian = site(2, "VIE", &[(1, 2), (2, 1)]);
        let mut swiss = site(3, "ZRH", &[(1, 2), (2, 2)]);
        swiss.country = "CH".to_owned();
        let sites = [swiss, german, austrian];
        let wanted = wants(&[(1, 2), (2, 2)]);
        let cheapest = |from_germany: i64| {
            let mut found = Vec::new();
            let cost = move |origin: &str, grams: i64| match origin {
                "AT" => Some(grams),
                "DE" => Some(from_germany),
                _ => None,
            };
            let run = |trip: &Trip| found = plan(&[Rule::Cheapest], trip, &wanted, &sites);
            trip(&cost, run);
            found
        };
        // Vienna sends 1.1 kg of three units for 1,100, which is 366 a unit.
        let dear = cheapest(1_500);
        assert_eq!(chosen(&dear), [2, 1]);
        assert_eq!(
            dear[0].why["reason"],
            "a unit costs less to send from VIE than from BER"
        );
        assert_eq!(dear[0].why["candidates"][0]["costMinor"], 1_100);
        assert!(dear[0].why["candidates"][2]["costMinor"].is_null());
        assert_eq!(chosen(&cheapest(1_400)), [1]);
    }

    proptest! {
        #[test]
        fn every_unit_that_somebody_has_is_given_to_one_and_never_more_than_it_has(
            stock in prop::collection::vec(prop::collection::vec(0i64..6, 4), 1..5),
            wanted in prop::collection::vec(0i64..8, 4),
            order in Just(Rule::NAMES.map(|(rule, _)| rule)).prop_shuffle(),
        ) {
            let sites: Vec<Candidate> = (1u128..).zip(&stock).map(|(n, units)| {
                let units: Vec<(u128, i64)> = (1u128..).zip(units.iter().copied()).collect();
                site(n, &format!("W{n}"), &units)
            }).collect();
            let pairs: Vec<(u128, i64)> = (1u128..).zip(wanted.iter().copied()).collect();
            let wanted = wants(&pairs);
            let found = routes(&order, &wanted, &sites);
            for (of, wants) in &wanted {
                let there: i64 = sites.iter().map(|site| site.units[of]).sum();
                let given: i64 = found.iter().filter_map(|route| route.units.get(of)).sum();
                prop_assert_eq!(given, std::cmp::min(there, *wants));
            }
            for route in &found {
                prop_assert!(!route.units.is_empty());
                let site = sites.iter().find(|site| site.id == route.warehouse).unwrap();
                for (of, units) in &route.units {
                    prop_assert!(*units <= site.units[of]);
                }
            }
            let mut shuffled = sites.clone();
            shuffled.reverse();
            let again = routes(&order, &wanted, &shuffled);
            prop_assert_eq!(chosen(&found), chosen(&again));
        }
    }
}
