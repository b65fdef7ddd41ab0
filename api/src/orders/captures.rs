//! The money of what has left: each shipment's share is captured once its carrier has it.
//!
//! A shipment is charged once (a row of its own), by as many captures as its share needs. What a
//! gateway does not give is asked for again for a week; a shipment is never un-shipped by it.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use entity::order::{PaymentMethod, Status};
use entity::payment_transaction::{Kind, State};
use entity::{
    Money, OrderId, ShipmentId, TransactionId, channel, charge, invoice, legal_entity_channel,
    order, order_exception, payment, payment_transaction,
};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};
use serde_json::json;

use super::aggregate::Aggregate;
use super::lifecycle::Action;
use super::shares::{self, Share};
use super::{Changed, lock_one, open_exception, settle_found};
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::invoicing::{self, Amounts, Charged, Portion};
use crate::ledger;
use crate::payments::{self, Effect, authorizations, charges, gateway};
use crate::tx::Tx;

/// For how long a charge is tried again by itself.
const RETRIED_DAYS: i64 = 7;

/// How many invoices are issued late in a round.
const BILLED_AT_ONCE: u64 = 100;

/// How long a charge waits while the gateway is asked for something that it needs.
const WAIT_SECS: i64 = 60;

/// How long before it runs out somebody looks at what is set aside.
const WATCHED_DAYS: i64 = 2;

/// Money of a shipment that has come.
#[derive(Clone, Copy, Debug)]
pub struct Captured {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The effect that brought it; none if nothing was due for the shipment.
    pub transaction_id: Option<TransactionId>,
    /// How much came with it.
    pub amount: Money,
    /// What is due for the shipment in all.
    pub due: Money,
    /// What of that has not come yet.
    pub left: Money,
}

impl Captured {
    /// Whether all that is due for the shipment has come with it.
    pub fn is_whole(&self) -> bool {
        self.left.minor == 0
    }
}

/// What follows from money that has come for a shipment, in the transaction that says so: the one
/// place that knows. It is called once for each capture that succeeded, under the order's lock; the
/// last one of a shipment `is_whole`.
async fn came(tx: &Tx, aggregate: &mut Aggregate, captured: &Captured) -> Result<(), Failure> {
    aggregate.record(
        tx,
        Event::OrderPaymentCaptured {
            transaction_id: captured.transaction_id.map(|id| id.0),
            shipment_id: captured.shipment_id,
            amount: captured.amount.minor,
            left: captured.left.minor,
        },
    );
    if captured.is_whole() {
        settle_found(tx, aggregate, "the money was captured", |open| {
            is_about(open, Code::CaptureFailed, captured.shipment_id)
        });
    }
    if aggregate
        .payment
        .as_ref()
        .is_some_and(|payment| payments::open_minor(payment) == 0)
    {
        settle_expiring(tx, aggregate, "nothing is left to capture");
    }
    let order = &aggregate.order;
    if let (Some(id), Some(payment)) = (captured.transaction_id, &aggregate.payment) {
        ledger::post_capture(tx, order, payment, id, captured.amount.minor);
    }
    if captured.is_whole() {
        bill(tx, aggregate, captured.shipment_id, captured.due.minor).await?;
    }
    Ok(())
}

/// Issues the invoice of a shipment of which all that is due has come.
async fn bill(
    tx: &Tx,
    aggregate: &Aggregate,
    shipment_id: ShipmentId,
    due: i64,
) -> Result<(), Failure> {
    let share = share(tx, aggregate, shipment_id).await?;
    let lines = share.lines.iter().map(|line| {
        let amounts = Amounts {
            quantity: line.units,
            discount: line.discount,
            net: line.net,
            tax: line.tax,
        };
        (line.line_id, amounts)
    });
    let charged = Charged {
        shipment_id,
        amount_minor: due,
        portion: Portion {
            lines: lines.collect(),
            delivery: Amounts {
                quantity: 1,
                discount: 0,
                // What was captured is what is invoiced: the lines give way.
                net: std::cmp::max(share.delivery_net, 0),
                tax: share.delivery_tax,
            },
        },
    };
    invoicing::issue(tx, &aggregate.order, &aggregate.lines, charged).await?;
    Ok(())
}

/// The shipments of which all that is due has come and that have no invoice, though somebody sells
/// in their channels, oldest first: it came before anybody did.
pub async fn unbilled(db: &impl ConnectionTrait) -> Result<Vec<ShipmentId>, DbErr> {
    use charge::{Column, Entity};
    let billed = Query::select()
        .column(invoice::Column::ShipmentId)
        .from(invoice::Entity)
        .to_owned();
    let channels = Query::select()
        .column(legal_entity_channel::Column::ChannelId)
        .from(legal_entity_channel::Entity)
        .to_owned();
    let orders = Query::select()
        .column(order::Column::Id)
        .from(order::Entity)
        .and_where(Expr::col(order::Column::ChannelId).in_subquery(channels))
        .to_owned();
    Entity::find()
        .select_only()
        .column(Column::ShipmentId)
        .filter(Column::CapturedAt.is_not_null())
        .filter(Column::AmountMinor.gt(0))
        .filter(Column::OrderId.in_subquery(orders))
        .filter(Column::ShipmentId.not_in_subquery(billed))
        .order_by_asc(Column::CapturedAt)
        .order_by_asc(Column::ShipmentId)
        .limit(BILLED_AT_ONCE)
        .into_tuple()
        .all(db)
        .await
}

/// Issues the invoice of such a shipment.
pub async fn bill_late(tx: &Tx, shipment_id: ShipmentId) -> Result<(), Failure> {
    let charge = charge::Entity::find_by_id(shipment_id).one(tx.db()).await?;
    let Some(charge) = charge else { return Ok(()) };
    let aggregate = lock_one(tx, charge.order_id).await?;
    bill(tx, &aggregate, shipment_id, charge.captured_minor).await
}

/// Charges a shipment that has left and that its carrier has, unless it was charged before, and
/// intends its capture.
pub async fn open(
    tx: &Tx,
    aggregate: &mut Aggregate,
    shipment_id: ShipmentId,
) -> Result<Vec<Effect>, Failure> {
    let known = charges::of_order(tx.db(), aggregate.order.id).await?;
    if known.iter().any(|charge| charge.shipment_id == shipment_id) {
        return Ok(Vec::new());
    }
    settle_found(tx, aggregate, "its carrier has it", |open| {
        is_about(open, Code::NoPickupScan, shipment_id)
    });
    let due = std::cmp::max(share_after(aggregate, &known, shipment_id).total(), 0);
    let Some(payment) = &aggregate.payment else {
        return Ok(Vec::new());
    };
    let position = i32::try_from(known.len()).unwrap_or(i32::MAX);
    let charge = charges::open(tx, payment, shipment_id, position, due).await?;
    if charge.amount_minor == 0 {
        paid(tx, aggregate, charge, None, 0).await?;
        return Ok(Vec::new());
    }
    attempt(tx, aggregate, charge).await
}

/// The share that a shipment was charged with, by its parts.
pub async fn share(
    tx: &Tx,
    aggregate: &Aggregate,
    shipment_id: ShipmentId,
) -> Result<Share, Failure> {
    let mut before = charges::of_order(tx.db(), aggregate.order.id).await?;
    let own = before
        .iter()
        .position(|charge| charge.shipment_id == shipment_id);
    before.truncate(own.unwrap_or(before.len()));
    Ok(share_after(aggregate, &before, shipment_id))
}

/// The share of a shipment, when some charges were made before. The last one takes the rest, also
/// of an order of which something was split off meanwhile.
fn share_after(aggregate: &Aggregate, before: &[charge::Model], shipment_id: ShipmentId) -> Share {
    let charged: BTreeSet<ShipmentId> = before.iter().map(|charge| charge.shipment_id).collect();
    let mut share = shares::of(aggregate, &charged, shipment_id);
    if share.is_last {
        let taken: i64 = before.iter().map(|charge| charge.amount_minor).sum();
        share.delivery_net += aggregate.order.total_minor - taken - share.total();
    }
    share
}

/// Asks for what a charge lacks.
async fn attempt(
    tx: &Tx,
    aggregate: &mut Aggregate,
    mut charge: charge::Model,
) -> Result<Vec<Effect>, Failure> {
    let left = charge.amount_minor - charge.captured_minor;
    let id = charge.shipment_id;
    charge.attempts += 1;
    charge.next_try_at = None;
    let Some(payment) = aggregate.payment.as_mut() else {
        return Ok(Vec::new());
    };
    if aggregate.order.payment_method != PaymentMethod::Card {
        match payments::capture_settled(tx, payment, id, left).await? {
            Some(transaction) => {
                paid(tx, aggregate, charge, Some(transaction), left).await?;
            }
            None => failed(tx, aggregate, charge, None, NOTHING_SET_ASIDE).await?,
        }
        return Ok(Vec::new());
    }
    // What another capture lets go of is set aside afresh first, where the gateway does so.
    let is_alone = payment.capture_pending_minor == 0;
    let effect = match is_alone || !gateway::captures_once(&payment.gateway) {
        true => payments::capture(tx, payment, id, left).await?,
        false => None,
    };
    let Some(effect) = effect else {
        let waits = !is_alone
            || payments::in_flight(tx.db(), aggregate.order.id, Kind::Authorization).await?;
        if waits {
            charge.attempts -= 1;
            charge.next_try_at = Some(tx.now + Duration::seconds(WAIT_SECS));
            charges::write(tx, &charge).await?;
        } else {
            failed(tx, aggregate, charge, None, NOTHING_SET_ASIDE).await?;
        }
        return Ok(Vec::new());
    };
    charges::write(tx, &charge).await?;
    aggregate.record(
        tx,
        Event::OrderCaptureRequested {
            transaction_id: effect.id.0,
            shipment_id: id,
            amount: effect.amount.minor,
        },
    );
    Ok(vec![effect])
}

/// Records that money of a shipment was captured, and asks for the rest of its share, if that was
/// set aside by another authorisation.
pub(super) async fn succeeded(
    tx: &Tx,
    aggregate: &mut Aggregate,
    effect: &Effect,
) -> Result<Vec<Effect>, Failure> {
    let charge = charge_of(tx, effect).await?;
    let amount = effect.amount.minor;
    let charge = paid(tx, aggregate, charge, Some(effect.id), amount).await?;
    match charge.captured_at {
        Some(_) => Ok(Vec::new()),
        None => attempt(tx, aggregate, charge).await,
    }
}

/// Records that the gateway did not give what is due for a shipment.
pub(super) async fn declined(
    tx: &Tx,
    aggregate: &mut Aggregate,
    effect: &Effect,
    reason: &str,
) -> Result<(), Failure> {
    let charge = charge_of(tx, effect).await?;
    failed(tx, aggregate, charge, Some(effect.id), reason).await
}

async fn charge_of(tx: &Tx, effect: &Effect) -> Result<charge::Model, Failure> {
    let all = charges::of_order(tx.db(), effect.order_id).await?;
    all.into_iter()
        .find(|charge| Some(charge.shipment_id) == effect.shipment_id)
        .ok_or_else(|| Failure::Internal("a capture without its charge".to_owned()))
}

async fn paid(
    tx: &Tx,
    aggregate: &mut Aggregate,
    mut charge: charge::Model,
    transaction_id: Option<TransactionId>,
    amount: i64,
) -> Result<charge::Model, Failure> {
    charge.captured_minor += amount;
    let left = charge.amount_minor - charge.captured_minor;
    charge.next_try_at = None;
    charge.captured_at = (left == 0).then_some(tx.now);
    charges::write(tx, &charge).await?;
    let currency = aggregate.order.currency;
    let captured = Captured {
        shipment_id: charge.shipment_id,
        transaction_id,
        amount: Money::new(amount, currency),
        due: Money::new(charge.amount_minor, currency),
        left: Money::new(left, currency),
    };
    came(tx, aggregate, &captured).await?;
    Ok(charge)
}

async fn failed(
    tx: &Tx,
    aggregate: &mut Aggregate,
    mut charge: charge::Model,
    transaction_id: Option<TransactionId>,
    reason: &str,
) -> Result<(), Failure> {
    let channel = channel::Entity::find_by_id(aggregate.order.channel_id)
        .one(tx.db())
        .await?;
    let wait = channel.map_or(Duration::hours(4), |channel| {
        Duration::seconds(channel.capture_retry_secs)
    });
    let next = tx.now + wait;
    charge.next_try_at = (next < charge.opened_at + Duration::days(RETRIED_DAYS)).then_some(next);
    charges::write(tx, &charge).await?;
    let due = Money::new(
        charge.amount_minor - charge.captured_minor,
        aggregate.order.currency,
    );
    let shipment_id = charge.shipment_id;
    aggregate.record(
        tx,
        Event::OrderCaptureFailed {
            transaction_id: transaction_id.map(|id| id.0),
            shipment_id,
            amount: due.minor,
            reason: reason.to_owned(),
            next_try_at: charge.next_try_at,
        },
    );
    let mut known = aggregate.exceptions.iter();
    if known.any(|open| is_about(open, Code::CaptureFailed, shipment_id)) {
        return Ok(());
    }
    let finding = Finding {
        code: Code::CaptureFailed,
        line: None,
        field: "payment".to_owned(),
        message: format!("{due} for a shipment that has left was not captured: {reason}"),
        details: json!({ "shipmentId": shipment_id, "amount": due.minor,
            "currency": due.currency, "declineCode": reason }),
        rule: None,
    };
    open_exception(tx, aggregate, &finding);
    Ok(())
}

/// Why a charge is not captured without a gateway's word.
const NOTHING_SET_ASIDE: &str = "nothing_authorized";

/// Whether an exception says something of a shipment.
fn is_about(open: &entity::order_exception::Model, code: Code, shipment: ShipmentId) -> bool {
    open.code == code.as_str() && open.details["shipmentId"] == json!(shipment)
}

/// Asks again for the charges of an order that wait for a try: those of which `is_due` says so.
async fn ask_for(
    tx: &Tx,
    aggregate: &mut Aggregate,
    is_due: impl Fn(&charge::Model) -> bool,
) -> Result<Vec<Effect>, Failure> {
    let mut effects = Vec::new();
    let under_way = payments::open_effects(tx.db(), aggregate.order.id).await?;
    for charge in charges::of_order(tx.db(), aggregate.order.id).await? {
        let is_asked = under_way
            .iter()
            .any(|one| one.kind == Kind::Capture && one.shipment_id == Some(charge.shipment_id));
        if charge.captured_at.is_none() && !is_asked && is_due(&charge) {
            effects.extend(attempt(tx, aggregate, charge).await?);
        }
    }
    Ok(effects)
}

/// Asks for what could not be captured, now that something was set aside.
pub(super) async fn resume(tx: &Tx, aggregate: &mut Aggregate) -> Result<Vec<Effect>, Failure> {
    if aggregate.order.confirmed_at.is_none() {
        return Ok(Vec::new());
    }
    settle_expiring(tx, aggregate, "what is due was set aside afresh");
    ask_for(tx, aggregate, |_| true).await
}

fn settle_expiring(tx: &Tx, aggregate: &mut Aggregate, resolution: &str) {
    let expiring = Code::AuthorizationExpiring.as_str();
    settle_found(tx, aggregate, resolution, |open| open.code == expiring);
}

/// Asks again for an order's charges whose time has come.
pub async fn try_again(tx: &Tx, order_id: OrderId) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, order_id).await?;
    let is_due = |charge: &charge::Model| charge.next_try_at.is_some_and(|at| at <= tx.now);
    let effects = ask_for(tx, &mut aggregate, is_due).await?;
    aggregate.save(tx);
    Ok(Changed { order_id, effects })
}

/// What [`retry`] needs.
pub struct Retry {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Asks the gateway again for what it would not give.
pub async fn retry(tx: &Tx, cmd: &Retry) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::RetryCapture, Code::OrderStateInvalid)?;
    let charges = charges::of_order(tx.db(), cmd.order_id).await?;
    if charges.iter().all(|charge| charge.captured_at.is_some()) {
        return Err(Problem::new(Code::OrderStateInvalid, NONE_FAILED).into());
    }
    let before = aggregate.order.version;
    let effects = ask_for(tx, &mut aggregate, |_| true).await?;
    if aggregate.order.version == before {
        return Err(Problem::new(Code::InProgress, ASKED_ALREADY).into());
    }
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects,
    })
}

/// What [`reauthorize`] needs.
pub struct Reauthorize {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// The card's token; none = the card that was asked last.
    pub instrument: Option<String>,
}

/// Sets what is still to be captured aside afresh. What was set aside before goes back when the
/// answer has come.
pub async fn reauthorize(tx: &Tx, cmd: &Reauthorize) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::Reauthorize, Code::OrderStateInvalid)?;
    let invalid = |message| Problem::new(Code::PaymentInvalid, message).at("input.token");
    if aggregate.order.payment_method != PaymentMethod::Card {
        return Err(invalid(NO_CARD).into());
    }
    if payments::in_flight(tx.db(), cmd.order_id, Kind::Authorization).await? {
        return Err(Problem::new(Code::InProgress, "the last payment has no answer yet").into());
    }
    let instrument = match &cmd.instrument {
        Some(token) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
        None => payments::last_instrument(tx, cmd.order_id).await?,
    };
    let instrument = instrument.ok_or_else(|| invalid("the card's token is missing"))?;
    let effect = set_aside_afresh(tx, &mut aggregate, instrument);
    let effect = effect.ok_or_else(|| Problem::new(Code::OrderStateInvalid, NOTHING_LEFT))?;
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects: vec![effect],
    })
}

/// Intends that what is still to be captured is set aside once more; none if that is nothing.
fn set_aside_afresh(tx: &Tx, aggregate: &mut Aggregate, instrument: String) -> Option<Effect> {
    let payment = aggregate.payment.as_ref()?;
    let taken = payment.captured_minor + payment.capture_pending_minor;
    let left = aggregate.order.total_minor - taken;
    if left <= 0 {
        return None;
    }
    let effect = payments::authorize(tx, payment, left, instrument);
    aggregate.record(
        tx,
        Event::OrderPaymentRequested {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
        },
    );
    Some(effect)
}

/// The released orders of which something is set aside that runs out soon, and about which the
/// gateway is not asked and nobody knows, or was told lately.
pub async fn expiring(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<OrderId>, DbErr> {
    use payment::Column;
    let asked = Query::select()
        .expr(Expr::val(1))
        .from(payment_transaction::Entity)
        .and_where(Expr::col((payment::Entity, Column::OrderId)).equals((
            payment_transaction::Entity,
            payment_transaction::Column::OrderId,
        )))
        .and_where(payment_transaction::Column::State.is_in([
            State::Ready,
            State::Sent,
            State::Unknown,
        ]))
        .to_owned();
    let told = Query::select()
        .expr(Expr::val(1))
        .from(order_exception::Entity)
        .and_where(
            Expr::col((payment::Entity, Column::OrderId))
                .equals((order_exception::Entity, order_exception::Column::OrderId)),
        )
        .and_where(order_exception::Column::Code.eq(Code::AuthorizationExpiring.as_str()))
        .cond_where(
            Condition::any()
                .add(order_exception::Column::ResolvedAt.is_null())
                .add(order_exception::Column::OpenedAt.gt(now - Duration::days(WATCHED_DAYS))),
        )
        .to_owned();
    payment::Entity::find()
        .select_only()
        .column(Column::OrderId)
        .join(JoinType::InnerJoin, order::Relation::Payment.def().rev())
        .filter(Column::AuthorizationExpiresAt.lte(now + Duration::days(WATCHED_DAYS)))
        .filter(order::Column::Status.eq(Status::Confirmed))
        .filter(order::Column::PaymentMethod.eq(PaymentMethod::Card))
        .filter(Expr::exists(asked).not())
        .filter(Expr::exists(told).not())
        .order_by_asc(Column::AuthorizationExpiresAt)
        .limit(100)
        .into_tuple()
        .all(db)
        .await
}

/// Sees to it that what is still to be captured of a released order does not run out: by the
/// channel's policy it is set aside afresh, or a person is told.
pub async fn watch(tx: &Tx, order_id: OrderId) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, order_id).await?;
    let soon = tx.now + Duration::days(WATCHED_DAYS);
    let total = aggregate.order.total_minor;
    let Some(payment) = aggregate.payment.as_mut() else {
        return Ok(Changed::only(order_id));
    };
    let is_near = payment
        .authorization_expires_at
        .is_some_and(|until| until <= soon);
    let is_asked = !payments::open_effects(tx.db(), order_id).await?.is_empty();
    if !is_near || is_asked || aggregate.order.status != Status::Confirmed {
        return Ok(Changed::only(order_id));
    }
    let mut lasting = authorizations::open_ones(tx, payment.id).await?;
    lasting.retain(|one| one.row.expires_at.is_none_or(|until| until > soon));
    let kept: i64 = lasting.iter().map(|one| one.open_minor).sum();
    if kept >= total - payment.captured_minor - payment.capture_pending_minor {
        // What runs out soon is not needed any more.
        let first = lasting.iter().filter_map(|one| one.row.expires_at).min();
        payments::expect_expiry(tx, payment, first);
        return Ok(Changed::only(order_id));
    }
    let channel = channel::Entity::find_by_id(aggregate.order.channel_id)
        .one(tx.db())
        .await?;
    let instrument = match channel.is_some_and(|channel| channel.reauthorizes) {
        true => payments::last_instrument(tx, order_id).await?,
        false => None,
    };
    let mut effects = Vec::new();
    match instrument {
        Some(instrument) => effects.extend(set_aside_afresh(tx, &mut aggregate, instrument)),
        None => tell_expiring(tx, &mut aggregate, None),
    }
    aggregate.save(tx);
    Ok(Changed { order_id, effects })
}

/// Says to a person that what is set aside runs out, and why it was not set aside afresh.
pub(super) fn tell_expiring(tx: &Tx, aggregate: &mut Aggregate, reason: Option<&str>) {
    if aggregate.has_open(Code::AuthorizationExpiring) {
        return;
    }
    let until = aggregate
        .payment
        .as_ref()
        .and_then(|payment| payment.authorization_expires_at);
    let finding = Finding {
        code: Code::AuthorizationExpiring,
        line: None,
        field: "payment".to_owned(),
        message: match reason {
            Some(reason) => format!("what is due could not be set aside afresh: {reason}"),
            None => "what is set aside runs out before all of it is captured".to_owned(),
        },
        details: json!({ "expiresAt": until, "declineCode": reason }),
        rule: None,
    };
    open_exception(tx, aggregate, &finding);
}

/// Why there is nothing to ask for again.
pub(super) const NONE_FAILED: &str = "no capture has come to nothing";

/// Why nothing is asked for at present.
pub(super) const ASKED_ALREADY: &str = "the gateway was asked and has not answered yet";

/// Why nothing is set aside.
pub(super) const NO_CARD: &str = "the order is not paid by card";

/// Why nothing is set aside afresh.
pub(super) const NOTHING_LEFT: &str = "nothing is left to capture";
