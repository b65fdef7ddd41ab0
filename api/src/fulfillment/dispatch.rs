//! Labels and the door: every parcel gets its name at the carrier, and what is handed over leaves the
//! stock.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::shipment::{Status, TrackingStatus};
use entity::{
    Currency, LineId, PackageId, ShipmentId, VariantId, address, bin_stock, carrier,
    fulfillment_order, package, reservation, shipment, stock_movement,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait, Set};
use serde_json::{Value as Json, json};

use super::packing::Packing;
use super::{stopped, tracking};
use crate::catalogue::Reference;
use crate::checks::Checks;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::inventory::{self, Movement};
use crate::notifications::{self, Notice, Parcel, Shipped, language};
use crate::orders::allocation::Allocation;
use crate::orders::{Changed, captures};
use crate::payments::Effect;
use crate::tx::Tx;

/// The name of a parcel at a carrier.
#[derive(Clone, Debug)]
pub struct Tracking {
    /// The parcel.
    pub package_id: PackageId,
    /// Its name at the carrier.
    pub number: String,
    /// Where the customer can follow it.
    pub url: Option<String>,
}

/// What [`label`] needs.
#[derive(Clone, Debug)]
pub struct Label {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The carrier's code.
    pub carrier: String,
    /// The carrier's service.
    pub service: String,
    /// Why this carrier: every candidate with its cost, its date and why it lost; none = a person
    /// bought it elsewhere.
    pub choice: Option<Json>,
    /// What it costs, in minor units, and in which currency.
    pub cost: Option<(i64, Currency)>,
    /// When the customer should have it.
    pub promised_at: Option<DateTime<Utc>>,
    /// A name for every parcel of the shipment.
    pub parcels: Vec<Tracking>,
}

/// Records the labels of a packed shipment: one for every parcel.
pub async fn label(tx: &Tx, cmd: &Label) -> Result<Changed, Failure> {
    let mut checks = Checks::new();
    let carrier = checks.code("input.carrier", &cmd.carrier);
    let service = checks.name("input.service", &cmd.service);
    let mut numbers = BTreeMap::new();
    for (place, parcel) in cmd.parcels.iter().enumerate() {
        let field = format!("input.parcels.{place}.trackingNumber");
        let number = checks.code(&field, &parcel.number);
        numbers.insert(parcel.package_id, (number, parcel.url.clone()));
    }
    checks.done()?;
    let mut packing = Packing::lock(tx, cmd.shipment_id).await?;
    if packing.shipment.status != Status::Packed {
        return Err(Problem::new(
            Code::FulfillmentStateInvalid,
            match packing.shipment.status {
                Status::Labeled => "it has its labels already: void them first",
                Status::Dispatched => "it has left",
                _ => "not everything is in closed packages yet",
            },
        )
        .at("input.id")
        .with(json!({ "status": packing.shipment.status }))
        .into());
    }
    if let Some(reason) = stopped(&packing.order) {
        return Err(Problem::new(Code::ShipmentNotDispatchable, reason).into());
    }
    let unnamed: Vec<PackageId> = packing
        .packages
        .iter()
        .map(|package| package.row.id)
        .filter(|id| !numbers.contains_key(id))
        .collect();
    if !unnamed.is_empty() || numbers.len() > packing.packages.len() {
        return Err(Problem::new(
            Code::LabelMissing,
            "every parcel of the shipment needs its label, and no other",
        )
        .at("input.parcels")
        .with(json!({ "packages": unnamed }))
        .into());
    }
    for (id, (number, url)) in numbers {
        use package::Column;
        tx.defer(
            package::Entity::update_many()
                .col_expr(Column::TrackingNumber, Expr::value(number))
                .col_expr(Column::TrackingUrl, Expr::value(url))
                .filter(Column::Id.eq(id))
                .into_query(),
        );
    }
    if let Some(shipment) = packing
        .order
        .work_mut(packing.shipment.fulfillment_order_id)
        .and_then(|work| work.shipment_mut())
    {
        shipment.status = Status::Labeled;
        shipment.tracking_status = TrackingStatus::PreTransit;
        shipment.carrier = Some(carrier.clone());
        shipment.service = Some(service.clone());
        shipment.choice = cmd.choice.clone();
        shipment.cost_minor = cmd.cost.map(|cost| cost.0);
        shipment.currency = cmd.cost.map(|cost| cost.1);
        shipment.promised_at = cmd.promised_at;
    }
    packing.order.record(
        tx,
        Event::OrderShipmentLabeled {
            shipment_id: cmd.shipment_id,
            carrier,
            service,
        },
    );
    let order_id = packing.order.order.id;
    packing.order.save(tx);
    Ok(Changed::only(order_id))
}

/// What leaves with a shipment.
#[derive(Clone, Debug)]
pub struct Dispatched {
    /// The order.
    pub order: entity::order::Model,
    /// The shipment, as it has left.
    pub shipment: shipment::Model,
    /// Its parcels.
    pub packages: Vec<package::Model>,
    /// How many units of each line left.
    pub units: BTreeMap<LineId, i64>,
    /// What is now to be captured, right after the commit: the carrier was sooner than we.
    pub effects: Vec<Effect>,
}

/// Hands a shipment over: only its own units become shipped, and leave the stock from staging.
pub async fn dispatch(
    tx: &Tx,
    reference: &Reference,
    id: ShipmentId,
) -> Result<Dispatched, Failure> {
    let row = shipment::Entity::find_by_id(id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("shipment").at("input.id"))?;
    let order_id = row.order_id;
    let variants = crate::orders::allocation::variants_of(tx, &[order_id]).await?;
    let mut allocation = Allocation::lock(tx, reference, variants, &[order_id]).await?;
    let Some(aggregate) = allocation.orders.get_mut(&order_id) else {
        return Err(crate::orders::archive::absent(tx.db(), order_id)
            .await?
            .into());
    };
    let Some(work) = aggregate.work_of_shipment(id).cloned() else {
        return Err(refused(Status::Cancelled, "the shipment is cancelled").into());
    };
    let status = work
        .shipment
        .as_ref()
        .map_or(Status::Pending, |shipment| shipment.status);
    match status {
        Status::Labeled => {}
        Status::Dispatched => return Err(refused(status, "it has left already").into()),
        Status::Packed => return Err(refused(status, "its parcels have no labels").into()),
        _ => {
            return Err(refused(
                status,
                "not everything was scanned twice into closed packages",
            )
            .into());
        }
    }
    if let Some(reason) = stopped(aggregate) {
        return Err(refused(status, reason).into());
    }
    // A count may have taken units back after they were packed.
    if !work.is_packed() {
        return Err(refused(status, "it does not hold what the order wants any more").into());
    }
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.eq(package::Status::Closed))
        .order_by_asc(package::Column::Position)
        .all(tx.db())
        .await?;
    let units: BTreeMap<LineId, i64> = work
        .lines
        .iter()
        .filter(|line| line.quantity > 0)
        .map(|line| (line.line_id, line.quantity))
        .collect();
    let order_id = aggregate.order.id;
    let warehouse = work.row.warehouse_id;
    let reserved = take_reservations(tx, &units, warehouse).await?;
    leave_stock(tx, &mut allocation, &work, &reserved).await?;
    let Some(aggregate) = allocation.orders.get_mut(&order_id) else {
        return Err(crate::orders::archive::absent(tx.db(), order_id)
            .await?
            .into());
    };
    for (line, units) in &units {
        if let Some(line) = aggregate.line_mut(*line) {
            line.allocated -= units;
            line.shipped += units;
        }
    }
    let mut shipment = None;
    if let Some(work) = aggregate.work_mut(work.row.id) {
        let row = work.row_mut();
        row.status = fulfillment_order::Status::Closed;
        row.closed_at = Some(tx.now);
        if let Some(own) = work.shipment_mut() {
            own.status = Status::Dispatched;
            own.dispatched_at = Some(tx.now);
            shipment = Some(own.clone());
        }
    }
    let Some(shipment) = shipment else {
        return Err(Failure::Internal("work without its shipment".to_owned()));
    };
    aggregate.record(
        tx,
        Event::OrderShipmentDispatched {
            shipment_id: id,
            carrier: shipment.carrier.clone(),
            tracking_numbers: packages
                .iter()
                .filter_map(|package| package.tracking_number.clone())
                .collect(),
            units: units.values().sum(),
        },
    );
    let effects = match tracking::carried(tx.db(), id).await? {
        true => captures::open(tx, aggregate, id).await?,
        false => Vec::new(),
    };
    let order = aggregate.order.clone();
    let titles = |line: &LineId| {
        let own = aggregate.lines.iter().find(|own| own.id == *line);
        own.map_or_else(String::new, |own| own.title.clone())
    };
    let shipped = shipped(
        tx,
        &shipment,
        &packages,
        units.iter().map(|(line, units)| (titles(line), *units)),
    )
    .await?;
    let language = language_of(tx, &order).await?;
    notifications::owe(
        tx,
        Notice::shipment_dispatched(&order, id, &language, &shipped),
    )
    .await?;
    allocation.put_back(tx);
    Ok(Dispatched {
        order,
        shipment,
        packages,
        units,
        effects,
    })
}

/// What the customer is told of a shipment that is on its way.
async fn shipped(
    tx: &Tx,
    shipment: &shipment::Model,
    packages: &[package::Model],
    lines: impl Iterator<Item = (String, i64)>,
) -> Result<Shipped, Failure> {
    let lines = lines.collect();
    let carrier = match &shipment.carrier {
        Some(code) => {
            let known = carrier::Entity::find()
                .filter(carrier::Column::Code.eq(code))
                .one(tx.db())
                .await?;
            Some(known.map_or_else(|| code.clone(), |carrier| carrier.name))
        }
        None => None,
    };
    Ok(Shipped {
        carrier,
        parcels: packages
            .iter()
            .filter_map(|package| {
                Some(Parcel {
                    tracking_number: package.tracking_number.clone()?,
                    tracking_url: package.tracking_url.clone(),
                })
            })
            .collect(),
        promised: shipment.promised_at.map(|at| at.date_naive()),
        lines,
    })
}

/// The language that an order's customer reads.
async fn language_of(tx: &Tx, order: &entity::order::Model) -> Result<String, Failure> {
    let to = address::Entity::find_by_id(order.shipping_address_id)
        .one(tx.db())
        .await?;
    let country = to.as_ref().map_or("", |to| to.country.as_str());
    Ok(language::of_order(order, country))
}

/// What [`correct_tracking`] needs.
#[derive(Clone, Debug)]
pub struct CorrectTracking {
    /// The parcel, which has left.
    pub package_id: PackageId,
    /// Its right name at the carrier.
    pub number: String,
    /// Where the customer can follow it.
    pub url: Option<String>,
}

/// Corrects the name of a parcel that has left. The customer is told, by a notice of its own.
pub async fn correct_tracking(tx: &Tx, cmd: &CorrectTracking) -> Result<ShipmentId, Failure> {
    let mut checks = Checks::new();
    let number = checks.code("input.trackingNumber", &cmd.number);
    checks.done()?;
    let missing = || Problem::not_found("package").at("input.packageId");
    let row = package::Entity::find_by_id(cmd.package_id)
        .one(tx.db())
        .await?;
    let shipment_id = row.ok_or_else(missing)?.shipment_id;
    let mut packing = Packing::lock(tx, shipment_id).await?;
    let shipment = packing.shipment.clone();
    if shipment.status != Status::Dispatched {
        return Err(Problem::new(
            Code::FulfillmentStateInvalid,
            "the shipment has not left: void its labels instead",
        )
        .at("input.packageId")
        .with(json!({ "status": shipment.status }))
        .into());
    }
    let mut packages: Vec<package::Model> = packing
        .packages
        .iter()
        .map(|package| package.row.clone())
        .collect();
    let Some(own) = packages.iter_mut().find(|own| own.id == cmd.package_id) else {
        return Err(missing().into());
    };
    let wrong = own.tracking_number.replace(number.clone());
    own.tracking_url = cmd.url.clone();
    if wrong.as_deref() == Some(number.as_str()) {
        return Ok(shipment_id);
    }
    use package::Column;
    tx.defer(
        package::Entity::update_many()
            .col_expr(Column::TrackingNumber, Expr::value(number.clone()))
            .col_expr(Column::TrackingUrl, Expr::value(cmd.url.clone()))
            .filter(Column::Id.eq(cmd.package_id))
            .into_query(),
    );
    packing.order.record(
        tx,
        Event::OrderTrackingCorrected {
            shipment_id,
            package_id: cmd.package_id,
            tracking_number: number,
        },
    );
    let order = packing.order.order.clone();
    let titles: Vec<(String, i64)> = packing
        .work()?
        .lines
        .iter()
        .map(|line| {
            let own = packing
                .order
                .lines
                .iter()
                .find(|own| own.id == line.line_id);
            let title = own.map_or_else(String::new, |own| own.title.clone());
            (title, line.quantity)
        })
        .collect();
    let shipped = shipped(tx, &shipment, &packages, titles.into_iter()).await?;
    let language = language_of(tx, &order).await?;
    let notice = Notice::tracking_corrected(
        &order,
        shipment_id,
        order.version,
        &language,
        &shipped,
        wrong.as_deref(),
    );
    notifications::owe(tx, notice).await?;
    packing.order.save(tx);
    Ok(shipment_id)
}

fn refused(status: Status, message: &str) -> Problem {
    Problem::new(Code::ShipmentNotDispatchable, message)
        .at("input.id")
        .with(json!({ "status": status }))
}

/// Ends the reservations of what leaves; one that holds more than that is divided. Says how many
/// units of each variant they were.
async fn take_reservations(
    tx: &Tx,
    units: &BTreeMap<LineId, i64>,
    warehouse: entity::WarehouseId,
) -> Result<BTreeMap<VariantId, i64>, Failure> {
    use reservation::Column;
    let mut left = units.clone();
    let mut taken: BTreeMap<VariantId, i64> = BTreeMap::new();
    let held = reservation::Entity::find()
        .filter(Column::LineId.is_in(units.keys().copied()))
        .filter(Column::WarehouseId.eq(warehouse))
        .filter(Column::Status.eq(reservation::Status::Allocated))
        .order_by_asc(Column::Id)
        .all(tx.db())
        .await?;
    for held in held {
        let Some(more) = left.get_mut(&held.line_id).filter(|more| **more > 0) else {
            continue;
        };
        let goes = std::cmp::min(*more, held.quantity);
        *more -= goes;
        *taken.entry(held.variant_id).or_default() += goes;
        let update = reservation::Entity::update_many()
            .col_expr(Column::UpdatedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(held.id));
        let update = if goes == held.quantity {
            update.col_expr(Column::Status, Expr::value(reservation::Status::Shipped))
        } else {
            let row = reservation::ActiveModel {
                id: Set(tx.id()),
                quantity: Set(goes),
                status: Set(reservation::Status::Shipped),
                updated_at: Set(tx.now),
                ..held.clone().into()
            };
            tx.defer_rows(vec![sea_orm::ActiveModelTrait::reset_all(row)], |insert| {
                insert
            });
            update.col_expr(Column::Quantity, Expr::value(held.quantity - goes))
        };
        update.exec(tx.db()).await?;
    }
    if left.values().any(|units| *units > 0) {
        return Err(Failure::Internal(
            "packed units of an order are not held for it".to_owned(),
        ));
    }
    Ok(taken)
}

/// Takes units out of staging and out of the stock.
async fn leave_stock(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    work: &crate::orders::work::Work,
    units: &BTreeMap<VariantId, i64>,
) -> Result<(), Failure> {
    let warehouse_id = work.row.warehouse_id;
    let staging = inventory::staging_bin(tx, warehouse_id).await?;
    let variants: BTreeSet<VariantId> = units.keys().copied().collect();
    let there = bin_stock::Entity::find()
        .filter(bin_stock::Column::BinId.eq(staging.id))
        .filter(bin_stock::Column::VariantId.is_in(variants))
        .all(tx.db())
        .await?;
    for (variant_id, leaves) in units {
        let has = there
            .iter()
            .find(|row| row.variant_id == *variant_id)
            .map_or(0, |row| row.quantity);
        if has < *leaves {
            return Err(Problem::new(
                Code::ShipmentNotDispatchable,
                "by the books staging has fewer units than leave: count it",
            )
            .at("input.id")
            .with(json!({ "staging": has, "leaves": leaves }))
            .into());
        }
        inventory::set_bins(
            tx,
            [bin_stock::Model {
                bin_id: staging.id,
                variant_id: *variant_id,
                warehouse_id,
                quantity: has - leaves,
            }],
        );
        allocation.shelf.change(
            tx,
            Movement {
                variant_id: *variant_id,
                warehouse_id,
                bin_id: Some(staging.id),
                kind: stock_movement::Kind::Ship,
                on_hand: -leaves,
                reserved: -leaves,
                reason: None,
                document: work
                    .shipment
                    .as_ref()
                    .map(|shipment| shipment.number.clone()),
                order_id: Some(work.row.order_id),
                operation_key: format!("ship:{}:{variant_id}", work.row.id),
            },
        );
    }
    Ok(())
}
