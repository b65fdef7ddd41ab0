//! What happened in any period of days: how many orders came and went where, how long they stood,
//! what was scanned, short, late.
//!
//! The log is added up by quarters of an hour, which every day of every time zone begins with, so a
//! report costs what its quarters hold and not what its orders are. Spans of time are kept in bins
//! (see [`spans`]), from which percentiles follow whatever the period.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use entity::order::Stage;
use entity::report_figure::Measure;
use entity::shipment::TrackingStatus;
use entity::{
    ChannelId, Currency, ExceptionId, FulfillmentOrderId, OrderId, PackageId, ScanId, ShipmentId,
    TimeZone, WarehouseId, event_log, fulfillment_order, order, order_exception, package,
    report_figure, scan, shipment,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, Set, Statement, Value,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::periods::{self, Interval, QUARTER};
use super::projection::{self, Batch};
use super::spans;
use crate::events::Event;
use crate::failure::Failure;
use crate::tx::Tx;

/// The projection's name.
pub const NAME: &str = "report_figure";

/// How many positions of the log one transaction takes at most.
const BATCH: i64 = 1_000;

/// Whether a shipment left in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Punctual {
    InTime,
    Late,
    /// Nothing was promised.
    Unpromised,
}

impl Punctual {
    fn name(self) -> &'static str {
        match self {
            Punctual::InTime => "IN_TIME",
            Punctual::Late => "LATE",
            Punctual::Unpromised => "UNPROMISED",
        }
    }
}

/// A sum's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    quarter: i64,
    measure: Measure,
    channel: ChannelId,
    warehouse: WarehouseId,
    carrier: String,
    detail: String,
    bin: i32,
    currency: String,
}

/// What happened, how often, and what it came to.
#[derive(Default)]
struct Sums(BTreeMap<Key, (i64, i64)>);

/// One thing that happened.
struct Fact {
    measure: Measure,
    warehouse: Option<WarehouseId>,
    carrier: Option<String>,
    detail: String,
    bin: i32,
    currency: Option<Currency>,
    amount: i64,
}

impl Fact {
    fn of(measure: Measure) -> Fact {
        Fact {
            measure,
            warehouse: None,
            carrier: None,
            detail: String::new(),
            bin: 0,
            currency: None,
            amount: 0,
        }
    }
}

impl Sums {
    fn add(&mut self, row: &event_log::Model, fact: Fact) {
        let key = Key {
            quarter: row.occurred_at.timestamp().div_euclid(QUARTER),
            measure: fact.measure,
            channel: row.channel_id.unwrap_or(ChannelId(Uuid::nil())),
            warehouse: fact.warehouse.unwrap_or(WarehouseId(Uuid::nil())),
            carrier: fact.carrier.unwrap_or_default(),
            detail: fact.detail,
            bin: fact.bin,
            currency: fact
                .currency
                .map(|own| own.code().to_owned())
                .unwrap_or_default(),
        };
        let sum = self.0.entry(key).or_default();
        sum.0 += 1;
        sum.1 += fact.amount;
    }
}

/// Moves the figures forward by one batch of the log, and says by how many positions. Nothing to
/// do if another node is at it.
pub async fn advance(tx: &Tx) -> Result<usize, Failure> {
    let Some(batch) = projection::take(tx, NAME, BATCH).await? else {
        return Ok(0);
    };
    use event_log::Column;
    let rows = event_log::Entity::find()
        .filter(Column::Seq.gt(batch.after))
        .filter(Column::Seq.lte(batch.until))
        .filter(
            Condition::any()
                .add(Column::OrderId.is_not_null())
                .add(Column::EventType.eq("scan.refused")),
        )
        .order_by_asc(Column::Seq)
        .all(tx.db())
        .await?;
    let events: Vec<(event_log::Model, Option<Event>)> = rows
        .into_iter()
        .map(|row| {
            let event = Event::read(&row.event_type, &row.payload);
            (row, event)
        })
        .collect();
    let world = World::read(tx, batch, &events).await?;
    let mut sums = Sums::default();
    for (row, event) in &events {
        if let Some(to) = row.stage_to {
            let entered = Fact::of(Measure::StageEntered);
            sums.add(
                row,
                Fact {
                    detail: to.to_value(),
                    ..entered
                },
            );
        }
        if let Some(from) = row.stage_from {
            let since = world.since(row);
            let stood = since.map_or(0, |since| (row.occurred_at - since).num_seconds());
            let left = Fact::of(Measure::StageLeft);
            sums.add(
                row,
                Fact {
                    detail: from.to_value(),
                    bin: spans::bin(stood),
                    ..left
                },
            );
        }
        if let Some(event) = event {
            world.count(row, event, &mut sums);
        }
    }
    write(tx, sums);
    Ok(batch.positions())
}

fn write(tx: &Tx, sums: Sums) {
    let rows = sums
        .0
        .into_iter()
        .map(|(key, (events, amount))| report_figure::ActiveModel {
            quarter: Set(key.quarter),
            measure: Set(key.measure),
            channel_id: Set(key.channel),
            warehouse_id: Set(key.warehouse),
            carrier: Set(key.carrier),
            detail: Set(key.detail),
            bin: Set(key.bin),
            currency: Set(key.currency),
            events: Set(events),
            amount: Set(amount),
        })
        .collect();
    tx.defer_rows(rows, |insert| {
        use report_figure::{Column, Entity};
        let sum = |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
        insert.on_conflict(
            OnConflict::columns([
                Column::Quarter,
                Column::Measure,
                Column::ChannelId,
                Column::WarehouseId,
                Column::Carrier,
                Column::Detail,
                Column::Bin,
                Column::Currency,
            ])
            .value(Column::Events, sum(Column::Events))
            .value(Column::Amount, sum(Column::Amount))
            .to_owned(),
        )
    });
}

/// What the events of a batch speak of.
#[derive(Default)]
struct World {
    /// When an order came to the stage that it left at a position.
    moves: HashMap<OrderId, Vec<(i64, DateTime<Utc>)>>,
    orders: HashMap<OrderId, order::Model>,
    works: HashMap<FulfillmentOrderId, WarehouseId>,
    packages: HashMap<PackageId, ShipmentId>,
    shipments: HashMap<ShipmentId, shipment::Model>,
    exceptions: HashMap<ExceptionId, DateTime<Utc>>,
    scans: HashMap<ScanId, WarehouseId>,
}

impl World {
    async fn read(
        tx: &Tx,
        batch: Batch,
        events: &[(event_log::Model, Option<Event>)],
    ) -> Result<World, DbErr> {
        let (mut left, mut orders) = (BTreeSet::new(), BTreeSet::new());
        let (mut works, mut packages) = (BTreeSet::new(), BTreeSet::new());
        let (mut shipments, mut exceptions) = (BTreeSet::new(), BTreeSet::new());
        let mut scans = BTreeSet::new();
        for (row, event) in events {
            if row.stage_from.is_some() {
                left.extend(row.order_id);
            }
            match event {
                Some(Event::OrderReceived { .. })
                | Some(Event::OrderCancelled { .. })
                | Some(Event::OrderRejected { .. })
                | Some(Event::OrderExpired { .. }) => orders.extend(row.order_id),
                Some(Event::OrderPicked {
                    fulfillment_order_id,
                    ..
                })
                | Some(Event::OrderPickShort {
                    fulfillment_order_id,
                    ..
                }) => {
                    works.insert(*fulfillment_order_id);
                }
                Some(Event::OrderPacked { package_id, .. }) => {
                    packages.insert(*package_id);
                }
                Some(Event::OrderShipmentDispatched { shipment_id, .. }) => {
                    orders.extend(row.order_id);
                    shipments.insert(*shipment_id);
                }
                Some(Event::OrderShipmentTracked { shipment_id, .. }) => {
                    shipments.insert(*shipment_id);
                }
                Some(Event::OrderExceptionResolved { exception_id, .. }) => {
                    exceptions.insert(ExceptionId(*exception_id));
                }
                Some(Event::ScanRefused { scan_id, .. }) => {
                    scans.insert(ScanId(*scan_id));
                }
                _ => {}
            }
        }
        let db = tx.db();
        let mut world = World::default();
        if !left.is_empty() {
            use event_log::Column;
            let moves = event_log::Entity::find()
                .filter(Column::OrderId.is_in(left))
                .filter(Column::Seq.lte(batch.until))
                .filter(Column::StageTo.is_not_null())
                .order_by_asc(Column::Seq);
            for row in moves.all(db).await? {
                if let Some(order) = row.order_id {
                    let own = world.moves.entry(order).or_default();
                    own.push((row.seq, row.occurred_at));
                }
            }
        }
        if !packages.is_empty() {
            let rows = package::Entity::find().filter(package::Column::Id.is_in(packages));
            for row in rows.all(db).await? {
                shipments.insert(row.shipment_id);
                world.packages.insert(row.id, row.shipment_id);
            }
        }
        if !orders.is_empty() {
            let rows = order::Entity::find().filter(order::Column::Id.is_in(orders));
            let rows = rows.all(db).await?.into_iter();
            world.orders = rows.map(|row| (row.id, row)).collect();
        }
        if !shipments.is_empty() {
            let rows = shipment::Entity::find().filter(shipment::Column::Id.is_in(shipments));
            let rows = rows.all(db).await?.into_iter();
            world.shipments = rows.map(|row| (row.id, row)).collect();
        }
        if !works.is_empty() {
            let rows = fulfillment_order::Entity::find()
                .filter(fulfillment_order::Column::Id.is_in(works));
            let rows = rows.all(db).await?.into_iter();
            world.works = rows.map(|row| (row.id, row.warehouse_id)).collect();
        }
        if !exceptions.is_empty() {
            let rows = order_exception::Entity::find()
                .filter(order_exception::Column::Id.is_in(exceptions));
            let rows = rows.all(db).await?.into_iter();
            world.exceptions = rows.map(|row| (row.id, row.opened_at)).collect();
        }
        if !scans.is_empty() {
            let rows = scan::Entity::find().filter(scan::Column::Id.is_in(scans));
            let rows = rows.all(db).await?.into_iter();
            world.scans = rows.map(|row| (row.id, row.warehouse_id)).collect();
        }
        Ok(world)
    }

    /// When the order of an event came to where it stood before it.
    fn since(&self, row: &event_log::Model) -> Option<DateTime<Utc>> {
        let moves = self.moves.get(&row.order_id?)?;
        let before = moves.partition_point(|(seq, _)| *seq < row.seq);
        moves.get(before.checked_sub(1)?).map(|(_, at)| *at)
    }

    fn count(&self, row: &event_log::Model, event: &Event, sums: &mut Sums) {
        let order = row.order_id.and_then(|id| self.orders.get(&id));
        match event {
            Event::OrderReceived {
                total,
                held,
                backordered,
                ..
            } => {
                let came = Fact::of(Measure::Received);
                let currency = order.map(|order| order.currency);
                sums.add(
                    row,
                    Fact {
                        amount: *total,
                        currency,
                        ..came
                    },
                );
                for (measure, units) in [
                    (Measure::UnitsHeld, held),
                    (Measure::UnitsBackordered, backordered),
                ] {
                    if *units > 0 {
                        sums.add(
                            row,
                            Fact {
                                amount: *units,
                                ..Fact::of(measure)
                            },
                        );
                    }
                }
            }
            Event::OrderCancelled { total, .. }
            | Event::OrderRejected { total, .. }
            | Event::OrderExpired { total } => {
                let fact = Fact {
                    amount: *total,
                    currency: order.map(|order| order.currency),
                    ..Fact::of(Measure::Cancelled)
                };
                sums.add(row, fact);
            }
            Event::OrderExceptionOpened { code, .. }
            | Event::OrderExceptionReopened { code, .. } => {
                let opened = Fact::of(Measure::ExceptionOpened);
                sums.add(
                    row,
                    Fact {
                        detail: code.clone(),
                        ..opened
                    },
                );
            }
            Event::OrderExceptionResolved {
                exception_id, code, ..
            } => {
                let opened = self.exceptions.get(&ExceptionId(*exception_id));
                let waited = opened.map_or(0, |at| (row.occurred_at - *at).num_seconds());
                let settled = Fact::of(Measure::ExceptionSettled);
                let bin = spans::bin(waited);
                sums.add(
                    row,
                    Fact {
                        detail: code.clone(),
                        bin,
                        ..settled
                    },
                );
            }
            Event::OrderReturnRequested { lines, .. } => {
                returned(row, sums, Measure::ReturnAsked, lines, "reason");
            }
            Event::OrderReturnInspected { units, .. } => {
                returned(row, sums, Measure::ReturnFound, units, "disposition");
            }
            Event::OrderPicked {
                fulfillment_order_id,
                units,
                ..
            } => {
                let scanned = Fact::of(Measure::UnitsScanned);
                let fact = Fact {
                    warehouse: self.works.get(fulfillment_order_id).copied(),
                    detail: scan::Station::Pick.to_value(),
                    amount: *units,
                    ..scanned
                };
                sums.add(row, fact);
            }
            Event::OrderPickShort {
                fulfillment_order_id,
                units,
                ..
            } => {
                let short = Fact::of(Measure::UnitsShort);
                let warehouse = self.works.get(fulfillment_order_id).copied();
                sums.add(
                    row,
                    Fact {
                        warehouse,
                        amount: *units,
                        ..short
                    },
                );
            }
            Event::OrderPacked {
                package_id, units, ..
            } => {
                let scanned = Fact::of(Measure::UnitsScanned);
                let shipment = self.packages.get(package_id);
                let shipment = shipment.and_then(|id| self.shipments.get(id));
                let fact = Fact {
                    warehouse: shipment.map(|shipment| shipment.warehouse_id),
                    detail: scan::Station::Pack.to_value(),
                    amount: *units,
                    ..scanned
                };
                sums.add(row, fact);
            }
            Event::OrderShipmentDispatched {
                shipment_id,
                carrier,
                units,
                ..
            } => {
                let by = order.and_then(|order| order.dispatch_by);
                let punctual = match by {
                    None => Punctual::Unpromised,
                    Some(by) if row.occurred_at <= by => Punctual::InTime,
                    Some(_) => Punctual::Late,
                };
                let shipment = self.shipments.get(shipment_id);
                let fact = Fact {
                    warehouse: shipment.map(|shipment| shipment.warehouse_id),
                    carrier: carrier.clone(),
                    detail: punctual.name().to_owned(),
                    amount: *units,
                    ..Fact::of(Measure::Dispatched)
                };
                sums.add(row, fact);
            }
            Event::OrderShipmentTracked {
                shipment_id,
                status: TrackingStatus::Delivered,
            } => {
                let shipment = self.shipments.get(shipment_id);
                let way = shipment.and_then(|own| Some(own.delivered_at? - own.dispatched_at?));
                let fact = Fact {
                    warehouse: shipment.map(|shipment| shipment.warehouse_id),
                    carrier: shipment.and_then(|shipment| shipment.carrier.clone()),
                    bin: spans::bin(way.map_or(0, |way| way.num_seconds())),
                    ..Fact::of(Measure::Delivered)
                };
                sums.add(row, fact);
            }
            Event::ScanRefused { scan_id, code } => {
                let refused = Fact::of(Measure::ScanRefused);
                let warehouse = self.scans.get(&ScanId(*scan_id)).copied();
                sums.add(
                    row,
                    Fact {
                        warehouse,
                        detail: code.clone(),
                        ..refused
                    },
                );
            }
            _ => {}
        }
    }
}

/// What the lines of a report are told apart by besides their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ReportDimension")]
pub enum Dimension {
    /// The channel that orders came by.
    Channel,
    /// The warehouse where it happened; what does not happen in a warehouse is left out.
    Warehouse,
    /// The carrier; what carriers have no part in is left out.
    Carrier,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// Whose days.
    pub time_zone: TimeZone,
    /// How long a line is.
    pub interval: Interval,
    /// What else tells lines apart.
    pub by: Option<Dimension>,
    /// Only these channels; none = all.
    pub channels: Option<BTreeSet<ChannelId>>,
    /// Only these warehouses; empty = all.
    pub warehouses: Vec<WarehouseId>,
    /// Only these carriers; empty = all.
    pub carriers: Vec<String>,
}

/// A line of a report: a period, and what it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// When the period begins.
    pub start: DateTime<Utc>,
    /// When it ends; that moment is of the next.
    pub end: DateTime<Utc>,
    /// The channel, if lines are told apart by it.
    pub channel: Option<ChannelId>,
    /// The warehouse, if lines are told apart by it.
    pub warehouse: Option<WarehouseId>,
    /// The carrier, if lines are told apart by it.
    pub carrier: Option<String>,
    /// What happened.
    pub figures: Figures,
}

/// Counts units of a return by what is said of them.
fn returned(row: &event_log::Model, sums: &mut Sums, measure: Measure, all: &Json, by: &str) {
    for one in all.as_array().into_iter().flatten() {
        let fact = Fact {
            detail: one[by].as_str().unwrap_or_default().to_owned(),
            amount: one["quantity"].as_i64().unwrap_or_default(),
            ..Fact::of(measure)
        };
        sums.add(row, fact);
    }
}

/// Sums over a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Orders that came in.
    pub received: i64,
    /// What they came to, by currency, in minor units.
    pub ordered: BTreeMap<String, i64>,
    /// Units of them that were there at once.
    pub units_held: i64,
    /// Units of them that were not.
    pub units_backordered: i64,
    /// What became of orders at each stage.
    pub stages: BTreeMap<String, Passage>,
    /// Exceptions by code.
    pub exceptions: BTreeMap<String, Passage>,
    /// Units that were scanned at their bin.
    pub units_picked: i64,
    /// Units that were scanned into their package.
    pub units_packed: i64,
    /// Refused scans by code.
    pub refused_scans: BTreeMap<String, i64>,
    /// Units that were not in their bin.
    pub units_short: i64,
    /// Shipments that left as promised.
    pub dispatched_in_time: i64,
    /// Shipments that left late.
    pub dispatched_late: i64,
    /// Shipments that left and for which nothing was promised.
    pub dispatched_unpromised: i64,
    /// Units of all of them.
    pub units_shipped: i64,
    /// Shipments that arrived, by how long they were under way.
    pub delivered: Histogram,
    /// Units that were asked to come back, by reason.
    pub returns_asked: BTreeMap<String, i64>,
    /// Units of returns of which it is known what became, by that.
    pub returns_found: BTreeMap<String, i64>,
}

/// What came, and what went after how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// How many came.
    pub came: i64,
    /// How many went, by how long they stayed.
    pub went: Histogram,
}

/// How often something took how long, by the bins of [`spans`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<i32, i64>);

impl Histogram {
    /// How often in all.
    pub fn count(&self) -> i64 {
        self.0.values().sum()
    }

    /// How long so many of a hundred took at most, in seconds, within 4 %; none if there were none.
    pub fn percentile(&self, percent: i64) -> Option<i64> {
        let count = self.count();
        let rank = std::cmp::max((count * percent + 99) / 100, 1);
        let mut seen = 0;
        for (bin, times) in &self.0 {
            seen += times;
            if seen >= rank {
                return Some(spans::middle(*bin));
            }
        }
        None
    }
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The position of the log that is in the figures.
    pub seq: i64,
    /// Its lines: period by period, and in each by what they are of.
    pub lines: Vec<Line>,
}

/// Reads a report. A period in which nothing happened has a line, unless lines are told apart by
/// more than their time.
pub async fn read(db: &impl ConnectionTrait, ask: &Ask) -> Result<Report, Failure> {
    let periods = periods::of(ask.from, ask.to, ask.time_zone, ask.interval)?;
    let seq = projection::position(db, NAME).await?;
    let mut lines: BTreeMap<(usize, String), Line> = BTreeMap::new();
    if ask.by.is_none() {
        for (place, (start, end)) in periods.iter().enumerate() {
            let line = Line {
                start: *start,
                end: *end,
                ..Line::default()
            };
            lines.insert((place, String::new()), line);
        }
    }
    for row in db.query_all_raw(query(db, ask, &periods)).await? {
        let place = usize::try_from(row.try_get::<i64>("", "place")?).unwrap_or_default();
        let Some((start, end)) = periods.get(place) else {
            continue;
        };
        let mut line = Line {
            start: *start,
            end: *end,
            ..Line::default()
        };
        let of = match ask.by {
            None => String::new(),
            Some(Dimension::Channel) => {
                let id: ChannelId = row.try_get("", "of_it")?;
                line.channel = Some(id);
                id.0.to_string()
            }
            Some(Dimension::Warehouse) => {
                let id: WarehouseId = row.try_get("", "of_it")?;
                line.warehouse = Some(id);
                id.0.to_string()
            }
            Some(Dimension::Carrier) => {
                let carrier: String = row.try_get("", "of_it")?;
                line.carrier = Some(carrier.clone());
                carrier
            }
        };
        let line = lines.entry((place, of)).or_insert(line);
        let sum = Sum {
            measure: row.try_get("", "measure")?,
            detail: row.try_get("", "detail")?,
            bin: row.try_get("", "bin")?,
            currency: row.try_get("", "currency")?,
            events: row.try_get("", "events")?,
            amount: row.try_get("", "amount")?,
        };
        line.figures.take(sum);
    }
    Ok(Report {
        seq,
        lines: lines.into_values().collect(),
    })
}

/// A sum as it is read.
struct Sum {
    measure: Measure,
    detail: String,
    bin: i32,
    currency: String,
    events: i64,
    amount: i64,
}

impl Figures {
    fn take(&mut self, sum: Sum) {
        let Sum {
            measure,
            detail,
            bin,
            currency,
            events,
            amount,
        } = sum;
        match measure {
            Measure::Received => {
                self.received += events;
                *self.ordered.entry(currency).or_default() += amount;
            }
            // The sales report's.
            Measure::Cancelled => {}
            Measure::UnitsHeld => self.units_held += amount,
            Measure::UnitsBackordered => self.units_backordered += amount,
            Measure::StageEntered => self.stages.entry(detail).or_default().came += events,
            Measure::StageLeft => {
                let own = self.stages.entry(detail).or_default();
                *own.went.0.entry(bin).or_default() += events;
            }
            Measure::ExceptionOpened => self.exceptions.entry(detail).or_default().came += events,
            Measure::ExceptionSettled => {
                let own = self.exceptions.entry(detail).or_default();
                *own.went.0.entry(bin).or_default() += events;
            }
            Measure::UnitsScanned if detail == scan::Station::Pick.to_value() => {
                self.units_picked += amount;
            }
            Measure::UnitsScanned => self.units_packed += amount,
            Measure::ScanRefused => *self.refused_scans.entry(detail).or_default() += events,
            Measure::UnitsShort => self.units_short += amount,
            Measure::Dispatched => {
                self.units_shipped += amount;
                if detail == Punctual::InTime.name() {
                    self.dispatched_in_time += events;
                } else if detail == Punctual::Late.name() {
                    self.dispatched_late += events;
                } else {
                    self.dispatched_unpromised += events;
                }
            }
            Measure::Delivered => *self.delivered.0.entry(bin).or_default() += events,
            Measure::ReturnAsked => *self.returns_asked.entry(detail).or_default() += amount,
            Measure::ReturnFound => *self.returns_found.entry(detail).or_default() += amount,
        }
    }

    /// What became of orders at a stage.
    pub fn stage(&self, stage: Stage) -> Passage {
        self.stages
            .get(&stage.to_value())
            .cloned()
            .unwrap_or_default()
    }
}

/// One row a period, what it is of, and sum.
fn query(
    db: &impl ConnectionTrait,
    ask: &Ask,
    periods: &[(DateTime<Utc>, DateTime<Utc>)],
) -> Statement {
    // Figures of our own, so they can stand in the text.
    let quarter = |at: &DateTime<Utc>| at.timestamp().div_euclid(QUARTER);
    let rows: Vec<String> = periods
        .iter()
        .enumerate()
        .map(|(place, (start, end))| format!("({place}, {}, {})", quarter(start), quarter(end)))
        .collect();
    let mut values: Vec<Value> = Vec::new();
    let mut among = |column: &str, of: Vec<Value>| {
        let places: Vec<String> = of
            .into_iter()
            .map(|value| {
                values.push(value);
                format!("${}", values.len())
            })
            .collect();
        match places.is_empty() {
            true => "AND 1 = 0".to_owned(),
            false => format!("AND f.{column} IN ({})", places.join(", ")),
        }
    };
    let mut conditions = String::new();
    if let Some(channels) = &ask.channels {
        let own = channels.iter().map(|id| Value::from(*id)).collect();
        conditions.push_str(&among("channel_id", own));
    }
    if !ask.warehouses.is_empty() {
        let own = ask.warehouses.iter().map(|id| Value::from(*id)).collect();
        conditions.push_str(&among("warehouse_id", own));
    }
    if !ask.carriers.is_empty() {
        let own = ask
            .carriers
            .iter()
            .map(|code| Value::from(code.as_str()))
            .collect();
        conditions.push_str(&among("carrier", own));
    }
    let of_it = match ask.by {
        None => "''",
        Some(Dimension::Channel) => "f.channel_id",
        Some(Dimension::Warehouse) => "f.warehouse_id",
        Some(Dimension::Carrier) => "f.carrier",
    };
    match ask.by {
        Some(Dimension::Carrier) => conditions.push_str(" AND f.carrier <> ''"),
        Some(Dimension::Warehouse) => {
            values.push(Value::from(WarehouseId(Uuid::nil())));
            conditions.push_str(&format!(" AND f.warehouse_id <> ${}", values.len()));
        }
        Some(Dimension::Channel) => {
            values.push(Value::from(ChannelId(Uuid::nil())));
            conditions.push_str(&format!(" AND f.channel_id <> ${}", values.len()));
        }
        None => {}
    }
    let sql = format!(
        "WITH period (place, a, b) AS (VALUES {})
        SELECT CAST(p.place AS BIGINT) AS place, {of_it} AS of_it, f.measure, f.detail, f.bin,
            f.currency, CAST(SUM(f.events) AS BIGINT) AS events,
            CAST(SUM(f.amount) AS BIGINT) AS amount
        FROM period p JOIN report_figure f ON f.quarter >= p.a AND f.quarter < p.b
        WHERE 1 = 1 {conditions}
        GROUP BY 1, 2, 3, 4, 5, 6",
        rows.join(", ")
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
