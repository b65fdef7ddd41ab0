//! What carriers say of parcels: kept once, in any order, and what it means for the shipment.
//!
//! A parcel stands where its highest-ranking scan puts it, so scans that come late, twice or out
//! of order end in the same state; an older one is kept and changes nothing. A scan of a number
//! that no parcel has is parked, and taken up when one gets that number.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use entity::shipment::{Status, TrackingStatus};
use entity::{
    OrderId, PackageId, ShipmentId, carrier, order, package, shipment, tracking_event,
    tracking_poll,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, JoinType,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use crate::catalogue::Reference;
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure};
use crate::orders::aggregate::{self, Aggregate};
use crate::orders::{self, archive, captures};
use crate::payments::Effect;
use crate::shipping::messages::Report;
use crate::tx::Tx;

/// How many parcels carriers are asked about in a round.
const ROUND: u64 = 50;

/// How long a carrier may say nothing of a parcel before it is asked, and asked again.
const SILENCE_HOURS: i64 = 6;

/// What is said of a parcel that its carrier has not seen.
const UNSEEN: [TrackingStatus; 2] = [TrackingStatus::Unknown, TrackingStatus::PreTransit];

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// How many scans were not known before.
    pub new: usize,
    /// How many of those are of numbers that no parcel has yet.
    pub parked: usize,
    /// What is now to be captured, right after the commit.
    pub effects: Vec<Effect>,
}

/// How far a status is. An older scan never takes a parcel back.
pub fn rank(status: TrackingStatus) -> u8 {
    match status {
        TrackingStatus::Unknown => 0,
        TrackingStatus::PreTransit => 1,
        TrackingStatus::CarrierPickedUp => 2,
        TrackingStatus::InTransit => 3,
        TrackingStatus::OutForDelivery => 4,
        TrackingStatus::AttemptedDelivery => 5,
        TrackingStatus::Delivered => 6,
        TrackingStatus::ReturnToSender => 7,
        TrackingStatus::Failure => 8,
    }
}

/// Whether a carrier has a parcel, or had it, of which it says this. That it is lost does not say
/// that it was ever there.
fn is_carried(status: TrackingStatus) -> bool {
    use TrackingStatus::*;
    match status {
        Unknown | PreTransit | Failure => false,
        CarrierPickedUp | InTransit | OutForDelivery | AttemptedDelivery | Delivered
        | ReturnToSender => true,
    }
}

/// Where a parcel stands by all that was said of it, and when it was delivered.
fn standing<'a>(
    events: impl IntoIterator<Item = &'a tracking_event::Model>,
) -> (TrackingStatus, Option<DateTime<Utc>>) {
    let mut status = TrackingStatus::PreTransit;
    let mut delivered: Option<DateTime<Utc>> = None;
    for event in events {
        if rank(event.status) > rank(status) {
            status = event.status;
        }
        if event.status == TrackingStatus::Delivered {
            let first =
                delivered.map_or(event.occurred_at, |at| std::cmp::min(at, event.occurred_at));
            delivered = Some(first);
        }
    }
    (status, delivered)
}

/// Where a shipment stands: where its least advanced parcel does, unless one is lost or comes
/// back. It is delivered when the last one is.
fn together(
    parcels: &[(TrackingStatus, Option<DateTime<Utc>>)],
) -> (TrackingStatus, Option<DateTime<Utc>>) {
    let statuses = || parcels.iter().map(|(status, _)| *status);
    let worst = statuses().max_by_key(|status| rank(*status));
    let status = match worst {
        Some(worst) if rank(worst) > rank(TrackingStatus::Delivered) => worst,
        _ => statuses()
            .min_by_key(|status| rank(*status))
            .unwrap_or(TrackingStatus::Unknown),
    };
    let delivered = match status {
        TrackingStatus::Delivered => parcels.iter().filter_map(|(_, at)| *at).max(),
        _ => None,
    };
    (status, delivered)
}

/// Keeps what a carrier said, and moves the shipments that it is about.
pub async fn receive(tx: &Tx, carrier: &str, reports: &[Report]) -> Result<Heard, Failure> {
    let numbers: BTreeSet<&str> = reports
        .iter()
        .map(|report| report.tracking_number.as_str())
        .collect();
    let (mut parcels, mut orders) = locked(tx, carrier, numbers.clone()).await?;
    let mut known = BTreeSet::new();
    if parcels.len() < numbers.len() {
        let unknown = numbers.iter().filter(|one| !parcels.contains_key(**one));
        let unknown: Vec<&str> = unknown.copied().collect();
        let woken;
        (woken, known) = wake(tx, carrier, reports, &unknown).await?;
        if woken {
            (parcels, orders) = locked(tx, carrier, numbers).await?;
        }
    }
    let mut heard = Heard::default();
    let mut rows = BTreeMap::new();
    for report in reports {
        if known.contains(&report.identity(carrier)) {
            continue;
        }
        let parcel = parcels.get(&report.tracking_number);
        let row = tracking_event::Model {
            id: tx.id(),
            carrier: carrier.to_owned(),
            tracking_number: report.tracking_number.clone(),
            package_id: parcel.map(|(package, _)| *package),
            status: report.sighting.status,
            code: report.sighting.code.clone(),
            place: report.sighting.place.clone(),
            occurred_at: report.sighting.occurred_at,
            received_at: tx.now,
            identity: report.identity(carrier),
        };
        rows.insert(row.identity.clone(), row);
    }
    for row in rows.into_values() {
        let parked = row.package_id.is_none();
        let inserted = tracking_event::Entity::insert(row.into_active_model())
            .on_conflict_do_nothing_on([tracking_event::Column::Identity])
            .exec_without_returning(tx.db())
            .await?;
        if matches!(inserted, sea_orm::TryInsertResult::Inserted(1..)) {
            heard.new += 1;
            heard.parked += usize::from(parked);
        }
    }
    heard.effects = advance(tx, &parcels, orders).await?;
    Ok(heard)
}

/// Opens the orders again that were put away and of whose parcels something new is said. What was
/// said before is no news, and leaves them where they are: says whether one was opened, and what is
/// known of the others.
async fn wake(
    tx: &Tx,
    carrier: &str,
    reports: &[Report],
    numbers: &[&str],
) -> Result<(bool, BTreeSet<String>), Failure> {
    let parcel = |number: &str| archive::parcel(carrier, number);
    let parts = numbers.iter().map(|number| parcel(number));
    let asleep = archive::with_parts(tx.db(), parts).await?;
    let mut woken = BTreeSet::new();
    let mut known = BTreeSet::new();
    for report in reports {
        let Some(archived) = asleep.get(&parcel(&report.tracking_number)) else {
            continue;
        };
        let identity = report.identity(carrier);
        let mut said = archived.snapshot.sightings.iter();
        match said.any(|one| one.identity == identity) {
            true => drop(known.insert(identity)),
            false => drop(woken.insert(archived.row.id)),
        }
    }
    for id in &woken {
        archive::take_out(tx, *id, NEWS.to_owned()).await?;
    }
    Ok((!woken.is_empty(), known))
}

/// Why an order is opened again of which a carrier says something.
const NEWS: &str = "its carrier said something new of a parcel";

/// The parcels that have these numbers at a carrier, with their orders locked.
async fn locked(
    tx: &Tx,
    carrier: &str,
    numbers: BTreeSet<&str>,
) -> Result<(Parcels, BTreeMap<OrderId, Aggregate>), Failure> {
    let orders = |parcels: &Parcels| -> BTreeSet<OrderId> {
        let shipments = parcels.values().map(|(_, shipment)| shipment);
        shipments.map(|shipment| shipment.order_id).collect()
    };
    let found = parcels(tx.db(), carrier, numbers).await?;
    let locked = aggregate::lock(tx, orders(&found)).await?;
    Ok((found, locked))
}

/// Moves shipments to where their parcels stand by all that was said of them. Those that have left
/// and that their carriers have are charged.
async fn advance(
    tx: &Tx,
    parcels: &Parcels,
    mut orders: BTreeMap<OrderId, Aggregate>,
) -> Result<Vec<Effect>, Failure> {
    let mut effects = Vec::new();
    let shipments: BTreeSet<(OrderId, ShipmentId)> = parcels
        .values()
        .map(|(_, shipment)| (shipment.order_id, shipment.id))
        .collect();
    for (order, shipment) in shipments {
        let Some(aggregate) = orders.get_mut(&order) else {
            continue;
        };
        let Standing {
            status,
            delivered_at,
            carried,
        } = standing_of(tx.db(), shipment).await?;
        let Some(work) = aggregate.work_of_shipment(shipment) else {
            continue;
        };
        let id = work.row.id;
        let is = work.shipment.as_ref();
        let Some(is) = is else { continue };
        let has_left = is.status == Status::Dispatched;
        if is.tracking_status != status || is.delivered_at != delivered_at {
            let moved = aggregate.work_mut(id).and_then(|work| work.shipment_mut());
            if let Some(own) = moved {
                own.tracking_status = status;
                own.delivered_at = delivered_at;
            }
            let event = Event::OrderShipmentTracked {
                shipment_id: shipment,
                status,
            };
            aggregate.record(tx, event);
        }
        if has_left && carried {
            effects.extend(captures::open(tx, aggregate, shipment).await?);
        }
    }
    for (_, aggregate) in orders {
        aggregate.save(tx);
    }
    Ok(effects)
}

/// Where a shipment stands.
struct Standing {
    status: TrackingStatus,
    delivered_at: Option<DateTime<Utc>>,
    /// Whether its carrier has every parcel of it, or had it.
    carried: bool,
}

/// Whether a shipment's carrier has every parcel of it, or had it.
pub(super) async fn carried(db: &impl ConnectionTrait, id: ShipmentId) -> Result<bool, DbErr> {
    Ok(standing_of(db, id).await?.carried)
}

/// Parcels by their numbers, each with its shipment.
type Parcels = BTreeMap<String, (PackageId, shipment::Model)>;

/// The parcels that have these numbers at a carrier, with their shipments that have not been
/// called off.
async fn parcels(
    db: &impl ConnectionTrait,
    carrier: &str,
    numbers: BTreeSet<&str>,
) -> Result<Parcels, DbErr> {
    let packages = package::Entity::find()
        .filter(package::Column::TrackingNumber.is_in(numbers))
        .filter(package::Column::Status.ne(package::Status::Cancelled))
        .all(db)
        .await?;
    let shipments = shipment::Entity::find()
        .filter(shipment::Column::Id.is_in(packages.iter().map(|package| package.shipment_id)))
        .filter(shipment::Column::Carrier.eq(carrier))
        .filter(shipment::Column::Status.ne(Status::Cancelled))
        .all(db)
        .await?;
    Ok(packages
        .into_iter()
        .filter_map(|package| {
            let mut own = shipments.iter();
            let own = own.find(|shipment| shipment.id == package.shipment_id)?;
            Some((package.tracking_number?, (package.id, own.clone())))
        })
        .collect())
}

/// Where a shipment stands by all that was said of its parcels.
async fn standing_of(db: &impl ConnectionTrait, id: ShipmentId) -> Result<Standing, DbErr> {
    let packages = package::Entity::find()
        .filter(package::Column::ShipmentId.eq(id))
        .filter(package::Column::Status.ne(package::Status::Cancelled))
        .all(db)
        .await?;
    let ids: Vec<PackageId> = packages.iter().map(|package| package.id).collect();
    let events = tracking_event::Entity::find()
        .filter(tracking_event::Column::PackageId.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    let all: Vec<_> = ids
        .into_iter()
        .map(|id| standing(events.iter().filter(|event| event.package_id == Some(id))))
        .collect();
    let carried: BTreeSet<PackageId> = events
        .iter()
        .filter(|event| is_carried(event.status))
        .filter_map(|event| event.package_id)
        .collect();
    let (status, delivered_at) = together(&all);
    Ok(Standing {
        status,
        delivered_at,
        carried: !all.is_empty() && carried.len() == all.len(),
    })
}

/// Parked scans whose number a parcel has got meanwhile: carrier and number.
pub async fn adoptable(db: &impl ConnectionTrait) -> Result<Vec<(String, String)>, DbErr> {
    let named = Query::select()
        .column((package::Entity, package::Column::TrackingNumber))
        .from(package::Entity)
        .join(
            JoinType::InnerJoin,
            shipment::Entity,
            Expr::col((shipment::Entity, shipment::Column::Id))
                .equals((package::Entity, package::Column::ShipmentId)),
        )
        .and_where(
            Expr::col((package::Entity, package::Column::TrackingNumber)).equals((
                tracking_event::Entity,
                tracking_event::Column::TrackingNumber,
            )),
        )
        .and_where(
            Expr::col((shipment::Entity, shipment::Column::Carrier))
                .equals((tracking_event::Entity, tracking_event::Column::Carrier)),
        )
        .and_where(Expr::col((shipment::Entity, shipment::Column::Status)).ne(Status::Cancelled))
        .to_owned();
    tracking_event::Entity::find()
        .select_only()
        .column(tracking_event::Column::Carrier)
        .column(tracking_event::Column::TrackingNumber)
        .distinct()
        .filter(tracking_event::Column::PackageId.is_null())
        .filter(Expr::exists(named))
        .limit(ROUND)
        .into_tuple()
        .all(db)
        .await
}

/// Takes up the parked scans of a number that a parcel has got.
pub async fn adopt(tx: &Tx, carrier: &str, number: &str) -> Result<Heard, Failure> {
    let (parcels, orders) = locked(tx, carrier, BTreeSet::from([number])).await?;
    let Some((package, _)) = parcels.get(number) else {
        return Ok(Heard::default());
    };
    let adopted = tracking_event::Entity::update_many()
        .col_expr(tracking_event::Column::PackageId, Expr::value(*package))
        .filter(tracking_event::Column::Carrier.eq(carrier))
        .filter(tracking_event::Column::TrackingNumber.eq(number))
        .filter(tracking_event::Column::PackageId.is_null())
        .exec(tx.db())
        .await?
        .rows_affected;
    Ok(Heard {
        new: usize::try_from(adopted).unwrap_or(usize::MAX),
        parked: 0,
        effects: advance(tx, &parcels, orders).await?,
    })
}

/// Parcels under way of which nothing was heard for hours, and whose carriers can be asked: each
/// with its carrier and its number. They are not asked again for as long.
pub async fn silent(tx: &Tx) -> Result<Vec<(String, String)>, Failure> {
    let since = tx.now - TimeDelta::hours(SILENCE_HOURS);
    let spoken = Query::select()
        .expr(Expr::val(1))
        .from(tracking_event::Entity)
        .and_where(
            Expr::col((tracking_event::Entity, tracking_event::Column::PackageId))
                .equals((package::Entity, package::Column::Id)),
        )
        .and_where(
            Expr::col((tracking_event::Entity, tracking_event::Column::ReceivedAt)).gt(since),
        )
        .to_owned();
    let waiting = Query::select()
        .expr(Expr::val(1))
        .from(tracking_poll::Entity)
        .and_where(
            Expr::col((tracking_poll::Entity, tracking_poll::Column::PackageId))
                .equals((package::Entity, package::Column::Id)),
        )
        .and_where(Expr::col((tracking_poll::Entity, tracking_poll::Column::NextAt)).gt(tx.now))
        .to_owned();
    let asked = Query::select()
        .column(carrier::Column::Code)
        .from(carrier::Entity)
        .and_where(carrier::Column::Adapter.eq(carrier::Adapter::Easypost))
        .to_owned();
    let ended = [
        TrackingStatus::Delivered,
        TrackingStatus::ReturnToSender,
        TrackingStatus::Failure,
    ];
    let found: Vec<(PackageId, String, String)> = package::Entity::find()
        .select_only()
        .column(package::Column::Id)
        .column(shipment::Column::Carrier)
        .column(package::Column::TrackingNumber)
        .join(
            JoinType::InnerJoin,
            package::Entity::belongs_to(shipment::Entity)
                .from(package::Column::ShipmentId)
                .to(shipment::Column::Id)
                .into(),
        )
        .filter(
            Condition::all()
                .add(shipment::Column::Status.eq(Status::Dispatched))
                .add(shipment::Column::TrackingStatus.is_not_in(ended))
                .add(shipment::Column::DispatchedAt.lte(since))
                .add(shipment::Column::Carrier.in_subquery(asked))
                .add(package::Column::Status.ne(package::Status::Cancelled))
                .add(package::Column::TrackingNumber.is_not_null())
                .add(Expr::exists(spoken).not())
                .add(Expr::exists(waiting).not()),
        )
        .order_by_asc(package::Column::Id)
        .limit(ROUND)
        .into_tuple()
        .all(tx.db())
        .await?;
    if !found.is_empty() {
        let next_at = tx.now + TimeDelta::hours(SILENCE_HOURS);
        let rows = found.iter().map(|(package, _, _)| {
            tracking_poll::Model {
                package_id: *package,
                next_at,
            }
            .into_active_model()
        });
        tracking_poll::Entity::insert_many(rows)
            .on_conflict(
                sea_orm::sea_query::OnConflict::column(tracking_poll::Column::PackageId)
                    .update_column(tracking_poll::Column::NextAt)
                    .to_owned(),
            )
            .exec_without_returning(tx.db())
            .await?;
    }
    Ok(found
        .into_iter()
        .map(|(_, carrier, number)| (carrier, number))
        .collect())
}

/// Shipments that left so long ago that their carriers should have scanned them by their channels'
/// policies, and have not: each with its order, the oldest first. Each is missed once.
pub async fn overdue(
    db: &impl ConnectionTrait,
    reference: &Reference,
    now: DateTime<Utc>,
) -> Result<Vec<(OrderId, ShipmentId)>, DbErr> {
    let mut late = Condition::any();
    for channel in reference.channels() {
        let within = channel.row.pickup_within_secs;
        if within > 0 {
            let since = now - TimeDelta::seconds(within);
            late = late.add(
                Condition::all()
                    .add(order::Column::ChannelId.eq(channel.row.id))
                    .add(shipment::Column::DispatchedAt.lte(since)),
            );
        }
    }
    if late.is_empty() {
        return Ok(Vec::new());
    }
    shipment::Entity::find()
        .select_only()
        .column(shipment::Column::OrderId)
        .column(shipment::Column::Id)
        .join(
            JoinType::InnerJoin,
            shipment::Entity::belongs_to(order::Entity)
                .from(shipment::Column::OrderId)
                .to(order::Column::Id)
                .into(),
        )
        .filter(shipment::Column::Status.eq(Status::Dispatched))
        .filter(shipment::Column::MissedAt.is_null())
        .filter(shipment::Column::TrackingStatus.is_in(UNSEEN))
        .filter(late)
        .order_by_asc(shipment::Column::DispatchedAt)
        .limit(ROUND)
        .into_tuple()
        .all(db)
        .await
}

/// Says to a person that a shipment has left and that its carrier has not scanned it. It is settled
/// when the scan comes.
pub async fn miss(tx: &Tx, order: OrderId, id: ShipmentId) -> Result<bool, Failure> {
    let Some(mut aggregate) = aggregate::lock(tx, [order]).await?.remove(&order) else {
        return Ok(false);
    };
    let work = aggregate.work_of_shipment(id).map(|work| work.row.id);
    let work = work.and_then(|work| aggregate.work_mut(work));
    let Some(shipment) = work.and_then(|work| work.shipment_mut()) else {
        return Ok(false);
    };
    let waits = shipment.status == Status::Dispatched
        && shipment.missed_at.is_none()
        && UNSEEN.contains(&shipment.tracking_status);
    if !waits {
        return Ok(false);
    }
    shipment.missed_at = Some(tx.now);
    let finding = Finding {
        code: Code::NoPickupScan,
        line: None,
        field: "shipments".to_owned(),
        message: format!(
            "{} has left, and its carrier has not scanned it",
            shipment.number
        ),
        details: json!({ "shipmentId": id, "shipment": shipment.number,
            "carrier": shipment.carrier, "dispatchedAt": shipment.dispatched_at }),
        rule: None,
    };
    orders::open_exception(tx, &mut aggregate, &finding);
    aggregate.save(tx);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_a_parcel_stands_where_its_highest_scan_puts_it() {
        let event = |status, minute| tracking_event::Model {
            id: uuid::Uuid::from_u128(minute).into(),
            carrier: "X".to_owned(),
            tracking_number: "1".to_owned(),
            package_id: None,
            status,
            code: String::new(),
            place: None,
            occurred_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(i64::try_from(minute).unwrap()),
            received_at: DateTime::UNIX_EPOCH,
            identity: minute.to_string(),
        };
        use TrackingStatus::*;
        let journey = [
            event(PreTransit, 1),
            event(CarrierPickedUp, 2),
            event(InTransit, 3),
            event(OutForDelivery, 4),
            event(Delivered, 5),
            event(InTransit, 6),
        ];
        let end = standing(&journey);
        assert_eq!(end, (Delivered, Some(journey[4].occurred_at)));
        let mut orders = 0;
        permute(&mut journey.to_vec(), 0, &mut |order| {
            orders += 1;
            assert_eq!(standing(order), end);
        });
        assert_eq!(orders, 720);
    }

    fn permute<T>(items: &mut Vec<T>, from: usize, see: &mut impl FnMut(&[T])) {
        if from == items.len() {
            return see(items);
        }
        for place in from..items.len() {
            items.swap(from, place);
            permute(items, from + 1, see);
            items.swap(from, place);
        }
    }

    #[test]
    fn p1_a_shipment_is_delivered_with_its_last_parcel_and_lost_with_its_first() {
        use TrackingStatus::*;
        let at = |hour| Some(DateTime::UNIX_EPOCH + TimeDelta::hours(hour));
        assert_eq!(
            together(&[(Delivered, at(1)), (InTransit, None)]),
            (InTransit, None)
        );
        assert_eq!(
            together(&[(Delivered, at(9)), (Delivered, at(1))]),
            (Delivered, at(9))
        );
        assert_eq!(
            together(&[(Delivered, at(1)), (Failure, None)]),
            (Failure, None)
        );
        assert_eq!(together(&[]), (Unknown, None));
    }
}
