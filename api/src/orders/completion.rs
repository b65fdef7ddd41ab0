//! The end of an order's life: it is complete when everything is delivered, captured, invoiced and
//! told of, and is put away when it has been over for long enough.
//!
//! Whatever changes an order that is on its way or over marks it, in the same commit, to be looked
//! at (`settles_at`). A worker takes the marks that are due up; what is not ready yet is marked for
//! later. So no look costs more than the orders that changed, however many there are.

use chrono::{DateTime, TimeDelta, Utc};
use entity::order::Status;
use entity::shipment::TrackingStatus;
use entity::{
    OrderId, charge, fulfillment_order, invoice, invoice_standing, label, legal_entity_channel,
    message, order, return_order, shipment,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::aggregate::{self, Aggregate, missing};
use super::archive;
use super::lifecycle::{self, Action};
use crate::catalogue::Reference;
use crate::events::Event;
use crate::failure::{Code, Failure};
use crate::payments::{self, charges};
use crate::tx::Tx;

/// How many orders are looked at in a round.
const AT_ONCE: u64 = 100;

/// How long what is still open on an order may take before somebody looks again.
const PATIENCE_MINUTES: i64 = 10;

/// The orders that are to be looked at, those first that wait longest.
pub async fn due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<OrderId>, DbErr> {
    order::Entity::find()
        .select_only()
        .column(order::Column::Id)
        .filter(order::Column::SettlesAt.lte(now))
        .order_by_asc(order::Column::SettlesAt)
        .limit(AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// Completes an order if nothing is left to do for it, or puts it away if it has been over for long
/// enough. Says whether it did either.
pub async fn settle(tx: &Tx, reference: &Reference, id: OrderId) -> Result<bool, Failure> {
    let Some(aggregate) = aggregate::lock(tx, [id]).await?.remove(&id) else {
        // Another node was faster.
        return Ok(false);
    };
    let is_due = |at: DateTime<Utc>| at <= tx.now;
    if !aggregate.order.settles_at.is_some_and(is_due) {
        return Ok(false);
    }
    let soon = tx.now + TimeDelta::minutes(PATIENCE_MINUTES);
    let channel = aggregate.order.channel_id;
    if lifecycle::is_terminal(aggregate.order.status) {
        let from = aggregate.order.updated_at + reference.archives_after(channel);
        let next = match is_due(from) {
            false => from,
            true if is_open(tx, &aggregate).await? || !archive::is_read(tx, id).await? => soon,
            true => {
                archive::put_away(tx, aggregate).await?;
                return Ok(true);
            }
        };
        look_again(tx, id, Some(next)).await?;
        return Ok(false);
    }
    let next = match arrival(tx, &aggregate, reference.completes_after(channel)).await? {
        Arrival::Arrived if is_paid(tx, &aggregate).await? && !is_open(tx, &aggregate).await? => {
            complete(tx, aggregate)?;
            return Ok(true);
        }
        Arrival::Arrived => Some(soon),
        Arrival::TakenForArrived(at) => Some(at),
        Arrival::UnderWay => None,
    };
    look_again(tx, id, next).await?;
    Ok(false)
}

fn complete(tx: &Tx, mut aggregate: Aggregate) -> Result<(), Failure> {
    aggregate.transition(tx, Action::Complete, Code::OrderStateInvalid)?;
    aggregate.order.closed_at = Some(tx.now);
    aggregate.record(tx, Event::OrderCompleted {});
    aggregate.save(tx);
    Ok(())
}

/// When somebody looks next. That is no change of the order.
async fn look_again(tx: &Tx, id: OrderId, at: Option<DateTime<Utc>>) -> Result<(), DbErr> {
    order::Entity::update_many()
        .col_expr(order::Column::SettlesAt, Expr::value(at))
        .filter(order::Column::Id.eq(id))
        .exec(tx.db())
        .await?;
    Ok(())
}

/// Whether everything has come to the customer.
enum Arrival {
    /// It has.
    Arrived,
    /// It has from that moment on, unless something else is heard.
    TakenForArrived(DateTime<Utc>),
    /// It has not; whatever brings it nearer changes the order.
    UnderWay,
}

/// Whether everything that was ordered has come to the customer: its carrier says so, or had it and
/// has said nothing to the contrary for as long as the channel waits.
async fn arrival(tx: &Tx, aggregate: &Aggregate, waits: TimeDelta) -> Result<Arrival, Failure> {
    let mut lines = aggregate.lines.iter();
    let whole = lines.all(|line| missing(line) == 0 && line.allocated + line.backordered == 0);
    if aggregate.order.status != Status::Confirmed || !whole || aggregate.is_blocked() {
        return Ok(Arrival::UnderWay);
    }
    let charges = charges::of_order(tx.db(), aggregate.order.id).await?;
    let mut latest: Option<DateTime<Utc>> = None;
    for work in &aggregate.work {
        let left = work.row.status == fulfillment_order::Status::Closed;
        let Some(shipment) = work.shipment.as_ref().filter(|_| left) else {
            return Ok(Arrival::UnderWay);
        };
        if shipment.status != shipment::Status::Dispatched {
            return Ok(Arrival::UnderWay);
        }
        // It is charged when its carrier has all of it.
        let charge = charges.iter().find(|one| one.shipment_id == shipment.id);
        let Some(charge) = charge else {
            return Ok(Arrival::UnderWay);
        };
        use TrackingStatus::*;
        match shipment.tracking_status {
            Delivered => {}
            CarrierPickedUp | InTransit | OutForDelivery | AttemptedDelivery => {
                latest = std::cmp::max(latest, Some(charge.opened_at + waits));
            }
            // A person sees to what is lost or comes back.
            Unknown | PreTransit | ReturnToSender | Failure => return Ok(Arrival::UnderWay),
        }
    }
    Ok(match latest {
        _ if aggregate.work.is_empty() => Arrival::UnderWay,
        Some(at) if at > tx.now => Arrival::TakenForArrived(at),
        _ => Arrival::Arrived,
    })
}

/// Whether everything that is due is captured and, where somebody sells in the channel, invoiced.
async fn is_paid(tx: &Tx, aggregate: &Aggregate) -> Result<bool, Failure> {
    let order = &aggregate.order;
    let paid = aggregate.payment.as_ref().is_some_and(|payment| {
        payment.captured_minor >= order.total_minor && payments::open_minor(payment) == 0
    });
    if !paid {
        return Ok(false);
    }
    let invoiced = Query::select()
        .column(invoice::Column::ShipmentId)
        .from(invoice::Entity)
        .and_where(invoice::Column::OrderId.eq(order.id))
        .to_owned();
    let sells = Query::select()
        .expr(Expr::val(1))
        .from(legal_entity_channel::Entity)
        .and_where(legal_entity_channel::Column::ChannelId.eq(order.channel_id))
        .to_owned();
    use charge::Column;
    let owed = charge::Entity::find()
        .filter(Column::OrderId.eq(order.id))
        .filter(
            Column::CapturedAt.is_null().or(Column::AmountMinor
                .gt(0)
                .and(Column::ShipmentId.not_in_subquery(invoiced))
                .and(Expr::exists(sells))),
        )
        .count(tx.db())
        .await?;
    Ok(owed == 0)
}

/// Whether something about an order is not done with: something waits for a person, the gateway or
/// a carrier is asked, a charge waits for its next try, a message is owed, an invoice is not printed, something comes
/// back.
async fn is_open(tx: &Tx, aggregate: &Aggregate) -> Result<bool, Failure> {
    let id = aggregate.order.id;
    if !aggregate.exceptions.is_empty() || !payments::open_effects(tx.db(), id).await?.is_empty() {
        return Ok(true);
    }
    use return_order::Status::{Cancelled, Closed, Declined};
    let returns = return_order::Entity::find()
        .filter(return_order::Column::OrderId.eq(id))
        .filter(return_order::Column::Status.is_not_in([Cancelled, Closed, Declined]))
        .count(tx.db())
        .await?;
    if returns > 0 {
        return Ok(true);
    }
    let printed = invoice::Entity::find()
        .select_only()
        .column(invoice::Column::Id)
        .filter(invoice::Column::OrderId.eq(id));
    let unprinted = invoice_standing::Entity::find()
        .filter(invoice_standing::Column::Printed.eq(false))
        .filter(
            invoice_standing::Column::InvoiceId
                .in_subquery(sea_orm::QueryTrait::into_query(printed)),
        )
        .count(tx.db())
        .await?;
    let owed = message::Entity::find()
        .filter(message::Column::OrderId.eq(id))
        .filter(message::Column::NextAttemptAt.is_not_null())
        .count(tx.db())
        .await?;
    let asked = label::Entity::find()
        .filter(label::Column::OrderId.eq(id))
        .filter(label::Column::NextCheckAt.is_not_null())
        .count(tx.db())
        .await?;
    let due = charge::Entity::find()
        .filter(charge::Column::OrderId.eq(id))
        .filter(charge::Column::NextTryAt.is_not_null())
        .count(tx.db())
        .await?;
    Ok(unprinted + owed + asked + due > 0)
}
