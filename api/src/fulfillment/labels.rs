//! The labels of a packed shipment: asked of one carrier for every parcel, recorded together, given
//! back together.

use chrono::{DateTime, Utc};
use entity::label::State;
use entity::shipment::{Status, TrackingStatus};
use entity::{
    LabelId, Money, PackageId, ShipmentId, address, label, order, package, package_line, shipment,
    variant, warehouse,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use serde_json::json;

use super::dispatch::{self, Label, Tracking};
use super::packing::Packing;
use super::{lock_order, stopped};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::failure::{Code, Failure, Problem};
use crate::pricing;
use crate::shipping::labels::{self, Buy, Purchase, Request, Settled};
use crate::shipping::port::{Answer, Party, Returned, Route};
use crate::shipping::{Choice, Destination, Dimensions, Parcel, Sending};
use crate::tx::Tx;

/// What the carriers are asked about a shipment whose packages are closed, as it is now.
pub async fn sending(
    db: &impl ConnectionTrait,
    id: ShipmentId,
    now: DateTime<Utc>,
) -> Result<(Route, Sending), Failure> {
    let missing = || Problem::not_found("shipment").at("input.id");
    let shipment = shipment::Entity::find_by_id(id).one(db).await?;
    let shipment = shipment.ok_or_else(missing)?;
    let order = order::Entity::find_by_id(shipment.order_id).one(db).await?;
    let order = order.ok_or_else(missing)?;
    let to = address::Entity::find_by_id(order.shipping_address_id)
        .one(db)
        .await?
        .ok_or_else(missing)?;
    let from = warehouse::Entity::find_by_id(shipment.warehouse_id)
        .one(db)
        .await?
        .ok_or_else(missing)?;
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.ne(package::Status::Cancelled))
        .order_by_asc(package::Column::Position)
        .all(db)
        .await?;
    let sending = Sending {
        parcels: packages.iter().map(parcel).collect(),
        origin: from.country.clone(),
        destination: Destination::from(&to),
        service_level: Some(order.service_level),
        promised_by: shipment.promised_at,
        ready_at: now,
        dangerous_goods: is_dangerous(db, &packages).await?,
        currency: order.currency,
    };
    let route = Route {
        from: Party::from(&from),
        to: Party::from(&to),
    };
    Ok((route, sending))
}

/// Whether dangerous goods are in some packages.
async fn is_dangerous(
    db: &impl ConnectionTrait,
    packages: &[package::Model],
) -> Result<bool, DbErr> {
    let packed = package_line::Entity::find()
        .select_only()
        .column(package_line::Column::VariantId)
        .filter(package_line::Column::PackageId.is_in(packages.iter().map(|row| row.id)));
    let dangerous = variant::Entity::find()
        .filter(variant::Column::DangerousGoods.eq(true))
        .filter(variant::Column::Id.in_subquery(packed.into_query()));
    Ok(dangerous.count(db).await? > 0)
}

fn parcel(row: &package::Model) -> Parcel {
    let dimensions = match (row.length_mm, row.width_mm, row.height_mm) {
        (Some(length_mm), Some(width_mm), Some(height_mm)) => Some(Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }),
        _ => None,
    };
    Parcel {
        weight_grams: std::cmp::max(row.weight_grams.unwrap_or(row.expected_grams), 1),
        dimensions,
    }
}

/// Intends the labels that a packed shipment lacks, by the chosen service. Those that it has must
/// be of the same service.
pub async fn intend(
    tx: &Tx,
    reference: &Reference,
    id: ShipmentId,
    choice: &Choice,
) -> Result<Vec<Purchase>, Failure> {
    let packing = Packing::lock(tx, id).await?;
    let status = packing.shipment.status;
    if status != Status::Packed {
        let message = match status {
            Status::Labeled => "it has its labels already: void them first",
            Status::Dispatched => "it has left",
            _ => "not everything is in closed packages yet",
        };
        return Err(not_now(status, message).into());
    }
    if let Some(reason) = stopped(&packing.order) {
        return Err(Problem::new(Code::ShipmentNotDispatchable, reason).into());
    }
    let Some(chosen) = choice.chosen() else {
        return Err(
            Problem::new(Code::ShippingUnavailable, "no carrier takes the shipment")
                .at("input.id")
                .with(json!({ "candidates": choice.candidates }))
                .into(),
        );
    };
    let packages: Vec<&package::Model> = packing
        .packages
        .iter()
        .map(|package| &package.row)
        .collect();
    let weights: Vec<i64> = packages
        .iter()
        .map(|package| parcel(package).weight_grams)
        .collect();
    let shares = pricing::apportion(chosen.cost_minor.unwrap_or_default(), &weights)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let mut purchases = Vec::new();
    for (package, share) in packages.into_iter().zip(shares) {
        if let Some(live) = labels::live(tx.db(), package.id).await? {
            let same = live.carrier == chosen.carrier && live.service == chosen.service;
            if same && live.state == State::Succeeded {
                continue;
            }
            return Err(Problem::new(
                Code::LabelExists,
                "a package has a label, or is getting one",
            )
            .at("input.id")
            .with(json!({
                "package": package.position,
                "carrier": live.carrier,
                "service": live.service,
                "state": live.state,
                "trackingNumber": live.tracking_number,
            }))
            .into());
        }
        let buy = Buy {
            package_id: package.id,
            order_id: packing.shipment.order_id,
            carrier: chosen.carrier.clone(),
            service: chosen.service.clone(),
            cost: Money::new(share, choice.currency),
            address_id: packing.order.order.shipping_address_id,
            warehouse_id: packing.shipment.warehouse_id,
            parcel: parcel(package),
            choice: json!(choice),
            promised_at: chosen.promised_at,
        };
        purchases.push(labels::intend(tx, reference.tariffs(), buy).await?);
    }
    if purchases.is_empty() {
        // All are bought; what kept them from being recorded may be over.
        record(tx, id).await?;
    }
    Ok(purchases)
}

/// Records what a carrier answered about a label, and labels the shipment once it was the last
/// that was missing.
pub async fn settle(tx: &Tx, purchase: &Purchase, answer: &Answer) -> Result<Settled, Failure> {
    lock_order(tx, purchase.order_id).await?;
    let settled = labels::settle(tx, purchase, answer).await?;
    if let Settled::Bought { .. } = settled
        && let Some(shipment) = shipment_of(tx, purchase.package_id).await?
        && shipment.status == Status::Packed
    {
        match record(tx, shipment.id).await {
            // An order that is stopped meanwhile has its labels all the same; they are recorded
            // when it goes on.
            Ok(()) | Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(settled)
}

/// Labels a packed shipment if every parcel has its label.
async fn record(tx: &Tx, id: ShipmentId) -> Result<(), Failure> {
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.ne(package::Status::Cancelled))
        .all(tx.db())
        .await?;
    let bought = label::Entity::find()
        .filter(label::Column::PackageId.is_in(packages.iter().map(|package| package.id)))
        .filter(label::Column::State.eq(State::Succeeded))
        .order_by_asc(label::Column::Serial)
        .all(tx.db())
        .await?;
    let Some(newest) = bought.last() else {
        return Ok(());
    };
    let has_label =
        |package: &package::Model| bought.iter().any(|label| label.package_id == package.id);
    if !packages.iter().all(has_label) {
        return Ok(());
    }
    let request: Request = serde_json::from_value(newest.request.clone())
        .map_err(|error| Failure::Internal(format!("the label {}: {error}", newest.id)))?;
    let one_currency = bought.iter().all(|label| label.currency == newest.currency);
    let cost: i64 = bought.iter().map(|label| label.cost_minor).sum();
    let cmd = Label {
        shipment_id: id,
        carrier: newest.carrier.clone(),
        service: newest.service.clone(),
        choice: Some(request.choice),
        cost: one_currency.then_some((cost, newest.currency)),
        promised_at: request.promised_at,
        parcels: bought
            .into_iter()
            .map(|label| Tracking {
                package_id: label.package_id,
                number: label.tracking_number.unwrap_or_default(),
                url: label.tracking_url,
            })
            .collect(),
    };
    dispatch::label(tx, &cmd).await?;
    Ok(())
}

async fn shipment_of(tx: &Tx, id: PackageId) -> Result<Option<shipment::Model>, Failure> {
    let Some(package) = package::Entity::find_by_id(id).one(tx.db()).await? else {
        return Ok(None);
    };
    let rows = shipment::Entity::find_by_id(package.shipment_id);
    Ok(rows.one(tx.db()).await?)
}

/// Gives the labels of a shipment back that has not left: it is packed again, and each carrier is
/// asked right after the commit.
pub async fn void(tx: &Tx, id: ShipmentId) -> Result<Vec<Purchase>, Failure> {
    let mut packing = Packing::lock(tx, id).await?;
    let status = packing.shipment.status;
    if !matches!(status, Status::Labeled | Status::Packed) {
        let message = match status {
            Status::Dispatched => "it has left",
            _ => "it has no labels",
        };
        return Err(not_now(status, message).into());
    }
    let packages: Vec<PackageId> = packing.packages.iter().map(|one| one.row.id).collect();
    let bought: Vec<LabelId> = label::Entity::find()
        .filter(label::Column::PackageId.is_in(packages.iter().copied()))
        .filter(label::Column::State.eq(State::Succeeded))
        .order_by_asc(label::Column::Serial)
        .all(tx.db())
        .await?
        .into_iter()
        .map(|label| label.id)
        .collect();
    if status == Status::Packed && bought.is_empty() {
        return Err(not_now(status, "it has no labels").into());
    }
    super::paper::void(tx, packages.iter().copied()).await?;
    let mut purchases = Vec::with_capacity(bought.len());
    for label in bought {
        purchases.push(labels::void(tx, label).await?);
    }
    if status == Status::Labeled {
        use package::Column;
        tx.defer(
            package::Entity::update_many()
                .col_expr(Column::TrackingNumber, Expr::value(None::<String>))
                .col_expr(Column::TrackingUrl, Expr::value(None::<String>))
                .filter(Column::Id.is_in(packages))
                .into_query(),
        );
        let work = packing.shipment.fulfillment_order_id;
        let work = packing.order.work_mut(work);
        if let Some(own) = work.and_then(|work| work.shipment_mut()) {
            own.status = Status::Packed;
            own.tracking_status = TrackingStatus::Unknown;
            own.carrier = None;
            own.service = None;
            own.choice = None;
            own.cost_minor = None;
            own.currency = None;
            own.promised_at = None;
        }
        let event = Event::OrderShipmentLabelsVoided { shipment_id: id };
        packing.order.record(tx, event);
        packing.order.save(tx);
    }
    Ok(purchases)
}

/// Records whether a carrier took a label back. One that it does not take back stays bought, and
/// the shipment can use it again.
pub async fn settle_void(
    tx: &Tx,
    purchase: &Purchase,
    returned: &Returned,
) -> Result<Settled, Failure> {
    lock_order(tx, purchase.order_id).await?;
    Ok(labels::settle_void(tx, purchase, returned).await?)
}

fn not_now(status: Status, message: &str) -> Problem {
    Problem::new(Code::FulfillmentStateInvalid, message)
        .at("input.id")
        .with(json!({ "status": status }))
}
