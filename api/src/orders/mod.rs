//! The order's own story: its lifecycle, its holds and exceptions, its stock and its money, and
//! how each change moves it on.
//!
//! Every command locks what it touches in the order that [`crate::tx`] states, decides in memory,
//! and writes back with its events. An order is released to staging by whichever command turns
//! its last gate green.

use std::collections::BTreeSet;

use entity::order::{FulfillmentStatus, PaymentMethod, PaymentStatus, Stage, Status};
use entity::order_exception::Status as ExceptionStatus;
use entity::payment_transaction::{Kind, State};
use entity::{
    ExceptionId, HoldId, Money, NoteId, OrderId, TransactionId, channel, customer, note, order,
    order_exception, order_line, payment, payment_transaction, promotion_use, reservation,
    stock_movement,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, RelationTrait, Set,
};

use crate::catalogue::Reference;
use crate::events::Event;
use crate::exceptions::{self, Finding};
use crate::failure::{Code, Failure, Problem};
use crate::ledger;
use crate::payments::{self, Answer, Effect, Settled};
use crate::tx::Tx;

pub mod aggregate;
pub mod allocation;
pub mod archive;
pub mod bulk;
pub mod captures;
pub mod completion;
pub mod disputes;
pub mod feeds;
pub mod lifecycle;
pub mod queue;
pub mod refunds;
pub mod remedies;
pub mod revise;
pub mod search;
pub mod shares;
pub mod split;
pub mod stock;
pub mod tags;
pub mod views;
pub mod voids;
pub mod work;

pub use aggregate::expect_version;

use aggregate::Aggregate;
use allocation::Allocation;
use lifecycle::Action;

/// An order after a command, with what is now owed to its gateway.
pub struct Changed {
    /// The order.
    pub order_id: OrderId,
    /// The calls to make, right after the commit.
    pub effects: Vec<Effect>,
}

impl Changed {
    /// An order that owes its gateway nothing now.
    pub fn only(order_id: OrderId) -> Changed {
        Changed {
            order_id,
            effects: Vec::new(),
        }
    }
}

/// How many characters a reason, note or resolution may have.
pub const LONGEST_TEXT: usize = 4_000;

/// Takes a text that a person wrote: not blank, not endless.
pub fn text(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_TEXT || text.contains('\0') {
        return Err(Problem::new(
            Code::InvalidInput,
            format!("{field} must have 1 to {LONGEST_TEXT} characters, none of them NUL"),
        )
        .at(&format!("input.{field}")));
    }
    Ok(text.to_owned())
}

/// Locks an order; refused if it is not there, or was put away.
pub async fn lock_one(tx: &Tx, id: OrderId) -> Result<Aggregate, Failure> {
    match aggregate::lock(tx, [id]).await?.remove(&id) {
        Some(aggregate) => Ok(aggregate),
        None => Err(archive::absent(tx.db(), id).await?.into()),
    }
}

/// Locks an order together with the stock of its lines.
async fn lock_with_stock<'a>(
    tx: &Tx,
    reference: &'a Reference,
    id: OrderId,
) -> Result<Allocation<'a>, Failure> {
    let variants = allocation::variants_of(tx, &[id]).await?;
    let allocation = Allocation::lock(tx, reference, variants, &[id]).await?;
    if allocation.orders.contains_key(&id) {
        Ok(allocation)
    } else {
        Err(archive::absent(tx.db(), id).await?.into())
    }
}

/// Ends an order that will not be delivered: lets its stock go to those who wait, gives back
/// money, credit and promotion uses, and settles its exceptions.
pub struct End {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Why.
    pub reason: String,
}

/// Cancels an order that has not shipped yet and lets its stock go.
pub async fn cancel(tx: &Tx, reference: &Reference, cmd: &End) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    let event = |total| Event::OrderCancelled { reason, total };
    end(
        tx,
        reference,
        cmd,
        Action::Cancel,
        Code::OrderNotCancellable,
        event,
    )
    .await
}

/// Refuses an order that failed a check.
pub async fn reject(tx: &Tx, reference: &Reference, cmd: &End) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    let event = |total| Event::OrderRejected { reason, total };
    end(
        tx,
        reference,
        cmd,
        Action::Reject,
        Code::OrderNotRejectable,
        event,
    )
    .await
}

async fn end(
    tx: &Tx,
    reference: &Reference,
    cmd: &End,
    action: Action,
    code: Code,
    event: impl FnOnce(i64) -> Event,
) -> Result<Changed, Failure> {
    let mut allocation = lock_with_stock(tx, reference, cmd.order_id).await?;
    if let Some(aggregate) = allocation.orders.get_mut(&cmd.order_id) {
        aggregate.expect_version(cmd.expected_version)?;
        aggregate.transition(tx, action, code)?;
        aggregate.order.cancel_reason = Some(cmd.reason.trim().to_owned());
    }
    let effects = wind_up(tx, &mut allocation, cmd.order_id, event).await?;
    allocation.put_back(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects,
    })
}

/// What every end of an order has in common; the event says what the order came to. The status has
/// moved already.
async fn wind_up(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    id: OrderId,
    event: impl FnOnce(i64) -> Event,
) -> Result<Vec<Effect>, Failure> {
    release(tx, allocation, id, reservation::Status::Released, None).await?;
    allocation.cancel_waiting(tx, id);
    allocation.serve_waiters(tx);
    let Some(aggregate) = allocation.orders.get_mut(&id) else {
        return Ok(Vec::new());
    };
    let lines: Vec<_> = aggregate.lines.iter().map(|line| line.id).collect();
    for line in lines {
        if let Some(line) = aggregate.line_mut(line) {
            line.backordered = 0;
            line.cancelled = line.quantity;
        }
    }
    let resolution = format!(
        "the order is {}",
        aggregate::status_name(aggregate.order.status)
    );
    for exception in std::mem::take(&mut aggregate.exceptions) {
        close_exception(tx, aggregate, exception, &resolution);
    }
    aggregate.order.closed_at = Some(tx.now);
    let effects = give_back(tx, aggregate).await?;
    let event = event(aggregate.order.total_minor);
    aggregate.record(tx, event);
    Ok(effects)
}

/// Gives back what an order took: promotion uses, credit, authorised money.
async fn give_back(tx: &Tx, aggregate: &mut Aggregate) -> Result<Vec<Effect>, Failure> {
    let uses = promotion_use::Entity::find()
        .filter(promotion_use::Column::OrderId.eq(aggregate.order.id))
        .order_by_asc(promotion_use::Column::PromotionId)
        .all(tx.db())
        .await?;
    for used in uses {
        revise::give_back_promotion(tx, used.promotion_id, used.order_id).await?;
    }
    give_back_money(tx, aggregate).await
}

/// Gives back credit and authorised money.
async fn give_back_money(tx: &Tx, aggregate: &mut Aggregate) -> Result<Vec<Effect>, Failure> {
    let order = &aggregate.order;
    let Some(payment) = aggregate.payment.as_mut() else {
        return Ok(Vec::new());
    };
    let open = payments::open_minor(payment);
    if open <= 0 {
        return Ok(Vec::new());
    }
    if order.payment_method != PaymentMethod::Card {
        if let (PaymentMethod::Account, Some(customer)) = (order.payment_method, order.customer_id)
        {
            use customer::Column;
            customer::Entity::update_many()
                .col_expr(
                    Column::CreditUsedMinor,
                    Expr::col(Column::CreditUsedMinor).sub(open),
                )
                .filter(Column::Id.eq(customer))
                .exec(tx.db())
                .await?;
        }
        payments::void_settled(tx, payment);
        return Ok(Vec::new());
    }
    if payments::in_flight(tx.db(), order.id, Kind::Void).await? {
        return Ok(Vec::new());
    }
    let effect = payments::void(tx, payment, open).await?;
    Ok(effect.into_iter().collect())
}

/// Lets an order's live reservations go: all of them, or the soft ones that ran out by a moment.
/// Each ends by a compare-and-set; only what this transaction ended goes back to stock.
async fn release(
    tx: &Tx,
    allocation: &mut Allocation<'_>,
    order: OrderId,
    to: reservation::Status,
    expired_by: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<i64, Failure> {
    use reservation::Column;
    let mut update = reservation::Entity::update_many()
        .col_expr(Column::Status, Expr::value(to))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .filter(Column::OrderId.eq(order));
    update = match expired_by {
        Some(moment) => update
            .filter(Column::Status.eq(reservation::Status::Active))
            .filter(Column::ExpiresAt.lte(moment)),
        None => update.filter(
            Column::Status.is_in([reservation::Status::Active, reservation::Status::Allocated]),
        ),
    };
    // The statuses before the update decide which figure of the line goes down; both may.
    let kind = match to {
        reservation::Status::Expired => stock_movement::Kind::Expire,
        _ => stock_movement::Kind::Release,
    };
    let mut released = 0;
    for held in update.exec_with_returning(tx.db()).await? {
        let name = format!("free:{}", held.id);
        allocation.shelf.let_go(tx, &held, kind, name);
        released += held.quantity;
        if let Some(line) = allocation
            .orders
            .get_mut(&order)
            .and_then(|aggregate| aggregate.line_mut(held.line_id))
        {
            let soft = std::cmp::min(held.quantity, line.reserved);
            line.reserved -= soft;
            line.allocated -= held.quantity - soft;
        }
    }
    Ok(released)
}

/// What [`hold`] needs.
pub struct Hold {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Why.
    pub reason: String,
}

/// Stops an order until somebody lifts the hold.
pub async fn hold(tx: &Tx, cmd: &Hold) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::Hold, Code::OrderNotHoldable)?;
    let hold = exceptions::place_hold(tx, cmd.order_id, &reason);
    aggregate.record(
        tx,
        Event::OrderHeld {
            hold_id: hold.id.0,
            reason,
        },
    );
    aggregate.holds.push(hold);
    aggregate.save(tx);
    Ok(Changed::only(cmd.order_id))
}

/// What [`release_hold`] needs.
pub struct ReleaseHold {
    /// Which order.
    pub order_id: OrderId,
    /// Which of its holds; none = every one that stands.
    pub hold_id: Option<HoldId>,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Lifts holds. The order goes on if that was the last thing that stopped it.
pub async fn release_hold(
    tx: &Tx,
    reference: &Reference,
    cmd: &ReleaseHold,
) -> Result<Changed, Failure> {
    let mut allocation = lock_with_stock(tx, reference, cmd.order_id).await?;
    if let Some(aggregate) = allocation.orders.get_mut(&cmd.order_id) {
        aggregate.expect_version(cmd.expected_version)?;
        aggregate.transition(tx, Action::ReleaseHold, Code::OrderStateInvalid)?;
        let (lifted, rest) = std::mem::take(&mut aggregate.holds)
            .into_iter()
            .partition::<Vec<_>, _>(|hold| cmd.hold_id.is_none_or(|id| id == hold.id));
        aggregate.holds = rest;
        if lifted.is_empty() {
            return Err(
                Problem::new(Code::HoldNotActive, "the order has no such hold")
                    .at("input.holdId")
                    .into(),
            );
        }
        for hold in lifted {
            exceptions::lift_hold(tx, hold.id);
            aggregate.record(tx, Event::OrderHoldReleased { hold_id: hold.id.0 });
        }
    }
    allocation.hold_missing(tx, cmd.order_id);
    allocation.put_back(tx);
    Ok(Changed::only(cmd.order_id))
}

/// What [`confirm`] needs.
pub struct Confirm {
    /// Which order.
    pub order_id: OrderId,
}

/// Tries an order's gates again, and releases it to staging if all are green. Whoever turns the
/// last gate green releases the order at once, so this finds something only where a gate has
/// changed without the order: a channel that no longer asks for the money first, a hold of stock
/// that ran out. Refused with the gates that are closed.
pub async fn confirm(tx: &Tx, reference: &Reference, cmd: &Confirm) -> Result<Changed, Failure> {
    let id = cmd.order_id;
    let mut allocation = lock_with_stock(tx, reference, id).await?;
    let required = allocation.authorization_required(id);
    allocation.hold_missing(tx, id);
    if let Some(aggregate) = allocation.orders.get(&id) {
        lifecycle::next(aggregate.order.status, Action::Confirm).map_err(|illegal| {
            let from = aggregate::status_name(illegal.from);
            Problem::new(Code::OrderStateInvalid, format!("the order is {from}"))
                .with(serde_json::json!({ "status": illegal.from }))
        })?;
        let closed: Vec<&str> = [
            (!aggregate.holds.is_empty(), "a hold stops it"),
            (
                aggregate.exceptions.iter().any(|open| open.blocking),
                "an exception stops it",
            ),
            (!aggregate.is_paid_for(tx, required), "it is not paid for"),
            (!aggregate.is_covered(), "not every unit is held for it"),
        ]
        .into_iter()
        .filter_map(|(closed, gate)| closed.then_some(gate))
        .collect();
        if !closed.is_empty() {
            let message = closed.join(", ");
            return Err(Problem::new(Code::OrderStateInvalid, message).into());
        }
    }
    allocation.put_back(tx);
    Ok(Changed::only(id))
}

/// What [`resolve_exception`] needs.
pub struct ResolveException {
    /// Which exception.
    pub exception_id: ExceptionId,
    /// The version of its order that the caller decided on.
    pub expected_version: Option<i64>,
    /// How it was settled, in words.
    pub resolution: String,
    /// Whether it was found to be no exception.
    pub dismiss: bool,
}

/// Settles an exception by a person's word. The order goes on if that was the last thing that
/// stopped it; a line that may not be backordered may now wait, since a person said so, an order
/// beyond its credit is taken on account, and money that a gateway would not give back is back.
pub async fn resolve_exception(
    tx: &Tx,
    reference: &Reference,
    cmd: &ResolveException,
) -> Result<Changed, Failure> {
    let resolution = text("resolution", &cmd.resolution)?;
    let row = order_exception::Entity::find_by_id(cmd.exception_id)
        .one(tx.db())
        .await?
        .ok_or_else(|| Problem::not_found("exception").at("input.id"))?;
    let mut allocation = lock_with_stock(tx, reference, row.order_id).await?;
    if let Some(aggregate) = allocation.orders.get_mut(&row.order_id) {
        aggregate.expect_version(cmd.expected_version)?;
        aggregate.transition(tx, Action::ResolveException, Code::OrderStateInvalid)?;
        let Some(place) = aggregate
            .exceptions
            .iter()
            .position(|open| open.id == row.id)
        else {
            return Err(
                Problem::new(Code::ExceptionNotOpen, "the exception is settled already")
                    .at("input.id")
                    .into(),
            );
        };
        let required = reference.authorization_required(aggregate.order.channel_id);
        let paid = aggregate.is_paid_for(tx, required);
        let voiding = payments::in_flight(tx.db(), row.order_id, Kind::Void).await?;
        if let Some(message) = beyond_words(&row.code, paid, voiding) {
            return Err(Problem::new(Code::OrderStateInvalid, message)
                .at("input.id")
                .into());
        }
        let exception = aggregate.exceptions.remove(place);
        let status = if cmd.dismiss {
            ExceptionStatus::Dismissed
        } else {
            ExceptionStatus::Resolved
        };
        exceptions::settle(tx, &exception, status, &resolution);
        aggregate.record(
            tx,
            Event::OrderExceptionResolved {
                exception_id: exception.id.0,
                code: exception.code.clone(),
                resolution,
                dismissed: cmd.dismiss,
            },
        );
        if exception.code == Code::CreditLimitExceeded.as_str() {
            take_credit(tx, aggregate).await?;
        }
        if exception.code == Code::VoidDeclined.as_str() {
            voids::take_word(tx, aggregate).await?;
        }
    }
    allocation.hold_missing(tx, row.order_id);
    allocation.put_back(tx);
    Ok(Changed::only(row.order_id))
}

/// Why an exception cannot be settled by a person's word alone: the order would pass its checks
/// and then never find stock or money, or the gateway may still say otherwise.
fn beyond_words(code: &str, paid: bool, voiding: bool) -> Option<&'static str> {
    let is = |one: Code| code == one.as_str();
    if is(Code::SkuUnknown) {
        return Some("there is nothing to send for an unknown SKU: cancel the order");
    }
    if is(Code::CreditNotGranted) && !paid {
        return Some("the customer has no account: cancel the order");
    }
    if (is(Code::PaymentDeclined) || is(Code::PaymentExpired)) && !paid {
        return Some("the order is not paid for: retry the payment or cancel the order");
    }
    if is(Code::PaymentUnknown) {
        return Some("only the gateway knows: its answer settles the exception");
    }
    if is(Code::SettlementDifference) {
        return Some("settle the difference of the settlement: that settles the exception");
    }
    if is(Code::VoidDeclined) && voiding {
        return Some(voids::ASKED_ALREADY);
    }
    None
}

/// Takes an order on account whatever the limit says: a person has overridden it.
async fn take_credit(tx: &Tx, aggregate: &mut Aggregate) -> Result<(), Failure> {
    let due = aggregate.order.total_minor;
    let (Some(customer), Some(payment)) = (aggregate.order.customer_id, &mut aggregate.payment)
    else {
        return Ok(());
    };
    if aggregate.order.payment_method != PaymentMethod::Account || payment.authorized_minor >= due {
        return Ok(());
    }
    use customer::Column;
    customer::Entity::update_many()
        .col_expr(
            Column::CreditUsedMinor,
            Expr::col(Column::CreditUsedMinor).add(due - payment.authorized_minor),
        )
        .filter(Column::Id.eq(customer))
        .exec(tx.db())
        .await?;
    payments::authorize_settled(tx, payment, due);
    Ok(())
}

/// What [`add_note`] needs.
pub struct AddNote {
    /// Which order.
    pub order_id: OrderId,
    /// What the note says.
    pub body: String,
}

/// Writes a note on an order, whatever its state.
pub async fn add_note(tx: &Tx, cmd: &AddNote) -> Result<Changed, Failure> {
    let body = text("body", &cmd.body)?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    let id: NoteId = tx.id();
    tx.defer_rows(
        vec![note::ActiveModel {
            id: Set(id),
            order_id: Set(cmd.order_id),
            body: Set(body),
            author: Set(tx.actor.name.clone()),
            created_at: Set(tx.now),
        }],
        |insert| insert,
    );
    aggregate.record(tx, Event::OrderNoted { note_id: id.0 });
    aggregate.save(tx);
    Ok(Changed::only(cmd.order_id))
}

/// What [`retry_payment`] needs.
pub struct RetryPayment {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// The card's token.
    pub instrument: String,
}

/// Tries another card for an order whose payment was declined.
pub async fn retry_payment(tx: &Tx, cmd: &RetryPayment) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::RetryPayment, Code::OrderStateInvalid)?;
    if cmd.instrument.trim().is_empty() {
        return Err(
            Problem::new(Code::PaymentInvalid, "the card's token is missing")
                .at("input.token")
                .into(),
        );
    }
    let in_flight = payments::in_flight(tx.db(), cmd.order_id, Kind::Authorization).await?
        || payments::in_flight(tx.db(), cmd.order_id, Kind::Void).await?;
    let due = aggregate.order.total_minor;
    let Some(payment) = &aggregate.payment else {
        return Err(Problem::new(Code::PaymentInvalid, "the order is not paid by card").into());
    };
    if aggregate.order.payment_method != PaymentMethod::Card {
        return Err(Problem::new(Code::PaymentInvalid, "the order is not paid by card").into());
    }
    if in_flight {
        return Err(Problem::new(Code::InProgress, "the last payment has no answer yet").into());
    }
    if payment.authorized_minor >= due {
        let reason = if aggregate.has_open(Code::VoidDeclined) {
            voids::NOT_BACK
        } else {
            "the order is paid for already"
        };
        return Err(Problem::new(Code::OrderStateInvalid, reason).into());
    }
    let missing = due - payment.authorized_minor;
    let effect = payments::authorize(tx, payment, missing, cmd.instrument.clone());
    aggregate.record(
        tx,
        Event::OrderPaymentRequested {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
        },
    );
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects: vec![effect],
    })
}

/// Records a gateway's answer and what follows from it: a green order is released, a declined
/// one waits for another payment, and money that came for an order that has ended goes back.
pub async fn settle_payment(
    tx: &Tx,
    reference: &Reference,
    effect: &Effect,
    answer: &Answer,
) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, effect.order_id).await?;
    let Some(payment) = aggregate.payment.as_mut() else {
        return Err(Failure::Internal(
            "an effect without its payment".to_owned(),
        ));
    };
    let settled = payments::settle(tx, effect, payment, answer).await?;
    if !matches!(settled, Settled::Nothing | Settled::Unknown { .. }) {
        settle_found(tx, &mut aggregate, "the gateway has answered", |open| {
            is_unknown(open, effect.id)
        });
    }
    let mut effects = Vec::new();
    match (settled, effect.kind) {
        (Settled::Nothing, _) | (Settled::Unknown { first: false }, _) => {
            return Ok(Changed::only(effect.order_id));
        }
        (Settled::Succeeded, Kind::Authorization) => {
            aggregate.record(
                tx,
                Event::OrderPaymentAuthorized {
                    transaction_id: effect.id.0,
                    amount: effect.amount.minor,
                },
            );
            settle_payment_exceptions(tx, &mut aggregate);
            effects = if lifecycle::is_terminal(aggregate.order.status) {
                give_back(tx, &mut aggregate).await?
            } else {
                // The order may have been edited while the gateway was asked.
                square(tx, &mut aggregate, None).await?
            };
            effects.extend(captures::resume(tx, &mut aggregate).await?);
        }
        (Settled::Succeeded, Kind::Void) => {
            voids::succeeded(tx, &mut aggregate, effect);
            effects = if lifecycle::is_terminal(aggregate.order.status) {
                give_back(tx, &mut aggregate).await?
            } else if aggregate.has_open(Code::PaymentExpired) {
                // What ran out may be of several authorisations.
                give_back_money(tx, &mut aggregate).await?
            } else {
                square(tx, &mut aggregate, None).await?
            };
        }
        (Settled::Succeeded, Kind::Capture) => {
            effects = captures::succeeded(tx, &mut aggregate, effect).await?;
            effects.extend(square(tx, &mut aggregate, None).await?);
        }
        (Settled::Succeeded, Kind::Refund) => {
            aggregate.record(
                tx,
                Event::OrderPaymentRefunded {
                    transaction_id: effect.id.0,
                    amount: effect.amount.minor,
                },
            );
            if let Some(payment) = &aggregate.payment {
                ledger::post_refund(
                    tx,
                    &aggregate.order,
                    payment,
                    effect.id,
                    effect.amount.minor,
                );
            }
            refunds::came(tx, &mut aggregate).await?;
        }
        (Settled::Declined, kind) => {
            let Answer::Declined { code } = answer else {
                return Err(Failure::Internal("declined by no decline".to_owned()));
            };
            match kind {
                Kind::Authorization => {}
                Kind::Void => voids::declined(tx, &mut aggregate, effect, code),
                Kind::Capture => captures::declined(tx, &mut aggregate, effect, code).await?,
                Kind::Refund => refunds::declined(tx, &mut aggregate, effect, code),
            }
            if kind != Kind::Authorization {
                aggregate.save(tx);
                return Ok(Changed::only(effect.order_id));
            }
            aggregate.order.payment_status = PaymentStatus::Pending;
            aggregate.record(
                tx,
                Event::OrderPaymentDeclined {
                    transaction_id: effect.id.0,
                    reason: code.clone(),
                },
            );
            if is_renewal(&aggregate) {
                captures::tell_expiring(tx, &mut aggregate, Some(code));
            } else if !aggregate.has_open(Code::PaymentDeclined)
                && !lifecycle::is_terminal(aggregate.order.status)
            {
                let finding = Finding {
                    code: Code::PaymentDeclined,
                    line: None,
                    field: "payment".to_owned(),
                    message: format!("the payment was declined: {code}"),
                    details: serde_json::json!({ "declineCode": code }),
                    rule: None,
                };
                open_exception(tx, &mut aggregate, &finding);
            }
        }
        (Settled::NotExecuted, Kind::Capture) => {
            captures::declined(tx, &mut aggregate, effect, "not_executed").await?;
        }
        (Settled::NotExecuted, Kind::Refund) => {
            refunds::declined(tx, &mut aggregate, effect, "not_executed");
        }
        (Settled::NotExecuted, kind) => {
            aggregate.order.payment_status = PaymentStatus::Pending;
            aggregate.record(
                tx,
                Event::OrderPaymentNotExecuted {
                    transaction_id: effect.id.0,
                },
            );
            // An order without any money ends when its hold runs out; one that lacks a part waits
            // for a person.
            let has_money = aggregate
                .payment
                .as_ref()
                .is_some_and(|payment| payment.authorized_minor > 0);
            if kind == Kind::Authorization && is_renewal(&aggregate) {
                captures::tell_expiring(tx, &mut aggregate, Some("not_executed"));
            } else if kind == Kind::Authorization
                && has_money
                && !lifecycle::is_terminal(aggregate.order.status)
            {
                let finding = Finding {
                    code: Code::PaymentDeclined,
                    line: None,
                    field: "payment".to_owned(),
                    message: "the gateway never set the rest of the amount aside".to_owned(),
                    details: serde_json::json!({ "due": effect.amount.minor }),
                    rule: None,
                };
                open_exception(tx, &mut aggregate, &finding);
            }
        }
        (Settled::Unknown { first: true }, _) => {
            aggregate.order.payment_status = PaymentStatus::Unknown;
            aggregate.record(
                tx,
                Event::OrderPaymentUnknown {
                    transaction_id: effect.id.0,
                },
            );
        }
    }
    let required = reference.authorization_required(aggregate.order.channel_id);
    let within = reference.dispatch_within(aggregate.order.channel_id);
    aggregate.confirm_if_green(tx, required, within);
    aggregate.save(tx);
    Ok(Changed {
        order_id: effect.order_id,
        effects,
    })
}

/// Whether an exception says that an effect has no answer.
fn is_unknown(open: &order_exception::Model, effect: TransactionId) -> bool {
    open.code == Code::PaymentUnknown.as_str()
        && open.details["transactionId"] == serde_json::json!(effect)
}

/// Says to a person that a gateway has given no definite answer for a while, if it still has not:
/// what was asked stays reserved, and is asked about further.
pub async fn tell_unknown(
    tx: &Tx,
    id: OrderId,
    transaction: TransactionId,
) -> Result<bool, Failure> {
    let mut aggregate = lock_one(tx, id).await?;
    let open = payments::open_effects(tx.db(), id).await?;
    let Some(effect) = open.into_iter().find(|effect| effect.id == transaction) else {
        return Ok(false);
    };
    if aggregate.has_open(Code::PaymentUnknown) {
        return Ok(false);
    }
    let amount = Money::new(effect.amount_minor, aggregate.order.currency);
    let finding = Finding {
        code: Code::PaymentUnknown,
        line: None,
        field: "payment".to_owned(),
        message: format!("nobody knows what became of {amount} at the gateway"),
        details: serde_json::json!({ "transactionId": effect.id, "kind": effect.kind,
            "amount": amount.minor, "currency": amount.currency,
            "firstSentAt": effect.first_sent_at }),
        rule: None,
    };
    open_exception(tx, &mut aggregate, &finding);
    aggregate.save(tx);
    Ok(true)
}

/// Whether what is set aside for an order was to be set aside afresh, rather than for the first time.
fn is_renewal(aggregate: &Aggregate) -> bool {
    let due = aggregate.order.total_minor;
    aggregate.order.status == Status::Confirmed
        && aggregate
            .payment
            .as_ref()
            .is_some_and(|payment| payment.authorized_minor >= due)
}

/// Brings what is set aside for a live order to what is due: total - authorised, taken from the
/// ledger, so that any number of changes ends exact. Of a card, one thing is asked at a time: what
/// changes meanwhile is squared when the answer comes. A card that was declined is not asked again
/// unless another instrument is given.
pub async fn square(
    tx: &Tx,
    aggregate: &mut Aggregate,
    instrument: Option<&str>,
) -> Result<Vec<Effect>, Failure> {
    if aggregate.has_open(Code::PaymentExpired) && !aggregate.is_paid_for(tx, true) {
        // What ran out pays for nothing, whatever is due: it has to come back first.
        return Ok(Vec::new());
    }
    if aggregate.is_paid_for(tx, true) {
        settle_payment_exceptions(tx, aggregate);
    }
    if aggregate.excess_minor() == 0 {
        let refused = Code::VoidDeclined.as_str();
        settle_found(tx, aggregate, "the money is due again", |open| {
            open.code == refused
        });
    }
    let order = &aggregate.order;
    let Some(payment) = aggregate.payment.as_mut() else {
        return Ok(Vec::new());
    };
    let missing = order.total_minor - payment.authorized_minor;
    if missing == 0 {
        return Ok(Vec::new());
    }
    match order.payment_method {
        PaymentMethod::External => {
            payments::authorize_settled(tx, payment, order.total_minor);
            Ok(Vec::new())
        }
        PaymentMethod::Account => {
            square_account(tx, aggregate, missing).await?;
            Ok(Vec::new())
        }
        PaymentMethod::Card => square_card(tx, aggregate, missing, instrument).await,
    }
}

/// Takes more credit if it fits under the limit, or gives back what is no longer needed.
async fn square_account(tx: &Tx, aggregate: &mut Aggregate, missing: i64) -> Result<(), Failure> {
    use customer::Column;
    let total = aggregate.order.total_minor;
    let Some(customer) = aggregate.order.customer_id else {
        return Ok(());
    };
    // Nothing was taken for an order without credit, and a person must say that it may be.
    let over = Code::CreditLimitExceeded.as_str();
    let refused = [&over, &Code::CreditNotGranted.as_str()]
        .iter()
        .any(|code| aggregate.exceptions.iter().any(|open| open.code == **code));
    let mut update = customer::Entity::update_many()
        .col_expr(
            Column::CreditUsedMinor,
            Expr::col(Column::CreditUsedMinor).add(missing),
        )
        .filter(Column::Id.eq(customer))
        .filter(Column::CreditCurrency.eq(aggregate.order.currency));
    if missing > 0 {
        update = update.filter(
            Expr::col(Column::CreditUsedMinor)
                .add(missing)
                .lte(Expr::col(Column::CreditLimitMinor)),
        );
    }
    let taken = update.exec(tx.db()).await?.rows_affected > 0;
    if !taken && !refused {
        let finding = Finding {
            code: Code::CreditLimitExceeded,
            line: None,
            field: "payment.method".to_owned(),
            message: "the order would exceed the customer's credit limit".to_owned(),
            details: serde_json::json!({ "due": missing, "currency": aggregate.order.currency }),
            rule: None,
        };
        open_exception(tx, aggregate, &finding);
    }
    if !taken {
        return Ok(());
    }
    if let Some(payment) = aggregate.payment.as_mut() {
        payments::authorize_settled(tx, payment, total);
    }
    settle_found(tx, aggregate, "the credit is enough now", |open| {
        open.code == over
    });
    Ok(())
}

async fn square_card(
    tx: &Tx,
    aggregate: &mut Aggregate,
    missing: i64,
    instrument: Option<&str>,
) -> Result<Vec<Effect>, Failure> {
    let order = &aggregate.order;
    let Some(payment) = aggregate.payment.as_ref() else {
        return Ok(Vec::new());
    };
    if !payments::open_effects(tx.db(), order.id).await?.is_empty() {
        return Ok(Vec::new());
    }
    let amount = missing.abs();
    if missing < 0 {
        // What is captured, or about to be, is a refund's to give back.
        let free =
            payment.authorized_minor - payment.captured_minor - payment.capture_pending_minor;
        if free < amount {
            return Ok(Vec::new());
        }
        let effect = payments::void(tx, payment, amount).await?;
        return Ok(effect.into_iter().collect());
    }
    let declined = [
        Code::PaymentDeclined.as_str(),
        Code::PaymentExpired.as_str(),
    ];
    let instrument = match instrument {
        Some(instrument) => Some(instrument.to_owned()),
        None if aggregate
            .exceptions
            .iter()
            .any(|open| declined.contains(&open.code)) =>
        {
            None
        }
        None => payments::last_instrument(tx, order.id).await?,
    };
    let Some(instrument) = instrument else {
        // A card that was never asked for anything: the order was free until now.
        let known = aggregate
            .exceptions
            .iter()
            .any(|open| declined.contains(&open.code));
        if !known {
            let finding = Finding {
                code: Code::PaymentDeclined,
                line: None,
                field: "payment".to_owned(),
                message: "there is no card to ask for what the order comes to".to_owned(),
                details: serde_json::json!({ "due": missing, "currency": order.currency }),
                rule: None,
            };
            open_exception(tx, aggregate, &finding);
        }
        return Ok(Vec::new());
    };
    let effect = payments::authorize(tx, payment, amount, instrument);
    aggregate.record(
        tx,
        Event::OrderPaymentRequested {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
        },
    );
    Ok(vec![effect])
}

/// A payment that came after all settles the exceptions about it.
fn settle_payment_exceptions(tx: &Tx, aggregate: &mut Aggregate) {
    let about_payment = [
        Code::PaymentDeclined.as_str(),
        Code::PaymentExpired.as_str(),
    ];
    settle_found(tx, aggregate, "the payment was authorised", |open| {
        about_payment.contains(&open.code)
    });
}

/// Settles the open exceptions that something has put right.
pub fn settle_found(
    tx: &Tx,
    aggregate: &mut Aggregate,
    resolution: &str,
    is_right: impl Fn(&order_exception::Model) -> bool,
) {
    let (right, rest) = std::mem::take(&mut aggregate.exceptions)
        .into_iter()
        .partition::<Vec<_>, _>(is_right);
    aggregate.exceptions = rest;
    for exception in right {
        close_exception(tx, aggregate, exception, resolution);
    }
}

/// Settles an exception that has been taken off its order, because of what happened to the order.
fn close_exception(
    tx: &Tx,
    aggregate: &mut Aggregate,
    exception: order_exception::Model,
    resolution: &str,
) {
    exceptions::settle(tx, &exception, ExceptionStatus::Resolved, resolution);
    aggregate.record(
        tx,
        Event::OrderExceptionResolved {
            exception_id: exception.id.0,
            code: exception.code,
            resolution: resolution.to_owned(),
            dismissed: false,
        },
    );
}

/// Opens an exception on a locked order.
pub fn open_exception(tx: &Tx, aggregate: &mut Aggregate, finding: &Finding) {
    let line = finding
        .line
        .and_then(|place| aggregate.lines.get(place))
        .map(|line| line.id);
    let exception = exceptions::row(tx, aggregate.order.id, line, finding);
    exceptions::write(tx, vec![exception.clone()]);
    aggregate.record(
        tx,
        Event::OrderExceptionOpened {
            exception_id: exception.id.0,
            code: exception.code.clone(),
            blocking: exception.blocking,
        },
    );
    aggregate.exceptions.push(exception);
}

/// How much longer a hold lives while its payment has no answer, and how old it may get so.
const IN_FLIGHT_SECS: i64 = 60;
const OLDEST_HOLD_MINUTES: i64 = 30;

/// The orders with soft holds that ran out, oldest first.
pub async fn with_expired_holds(
    db: &impl sea_orm::ConnectionTrait,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<OrderId>, sea_orm::DbErr> {
    let rows = reservation::Entity::find()
        .filter(reservation::Column::Status.eq(reservation::Status::Active))
        .filter(reservation::Column::ExpiresAt.lte(now))
        .order_by_asc(reservation::Column::ExpiresAt)
        .limit(200)
        .all(db)
        .await?;
    let mut seen = BTreeSet::new();
    Ok(rows
        .into_iter()
        .map(|row| row.order_id)
        .filter(|order| seen.insert(*order))
        .collect())
}

/// Lets an order's expired holds go. An order that only lacked its payment ends; one that waits
/// for a person keeps waiting, without stock, and asks for it again when it goes on. A payment
/// that is under way keeps the hold alive, for half an hour at most.
pub async fn expire_holds(tx: &Tx, reference: &Reference, id: OrderId) -> Result<Changed, Failure> {
    let mut allocation = lock_with_stock(tx, reference, id).await?;
    let in_flight = payments::in_flight(tx.db(), id, Kind::Authorization).await?;
    if in_flight {
        use reservation::Column;
        let young = tx.now - chrono::Duration::minutes(OLDEST_HOLD_MINUTES);
        let extended = reservation::Entity::update_many()
            .col_expr(
                Column::ExpiresAt,
                Expr::value(tx.now + chrono::Duration::seconds(IN_FLIGHT_SECS)),
            )
            .filter(Column::OrderId.eq(id))
            .filter(Column::Status.eq(reservation::Status::Active))
            .filter(Column::ExpiresAt.lte(tx.now))
            .filter(Column::CreatedAt.gt(young))
            .exec(tx.db())
            .await?
            .rows_affected;
        if extended > 0 {
            return Ok(Changed::only(id));
        }
    }
    let quantity = release(
        tx,
        &mut allocation,
        id,
        reservation::Status::Expired,
        Some(tx.now),
    )
    .await?;
    if quantity == 0 {
        return Ok(Changed::only(id));
    }
    let mut effects = Vec::new();
    let required = allocation.authorization_required(id);
    if let Some(aggregate) = allocation.orders.get_mut(&id) {
        let declined = Code::PaymentDeclined.as_str();
        // One that has money set aside was paid for before it was edited.
        let has_money = aggregate
            .payment
            .as_ref()
            .is_some_and(|payment| payment.authorized_minor > 0);
        let only_unpaid = !aggregate.is_paid_for(tx, required)
            && !has_money
            && !in_flight
            && aggregate.holds.is_empty()
            && aggregate
                .exceptions
                .iter()
                .all(|exception| !exception.blocking || exception.code == declined);
        if only_unpaid
            && aggregate
                .transition(tx, Action::Expire, Code::OrderStateInvalid)
                .is_ok()
        {
            let event = |total| Event::OrderExpired { total };
            effects = wind_up(tx, &mut allocation, id, event).await?;
        } else {
            aggregate.record(tx, Event::OrderStockReleased { quantity });
            allocation.serve_waiters(tx);
        }
    }
    allocation.put_back(tx);
    Ok(Changed {
        order_id: id,
        effects,
    })
}

/// The orders that nothing stops, that are paid for and that want units which are neither held nor
/// waited for: their holds ran out while their payment had no answer.
pub async fn uncovered(db: &impl sea_orm::ConnectionTrait) -> Result<Vec<OrderId>, sea_orm::DbErr> {
    use order_line::Column;
    let held = Expr::col((order_line::Entity, Column::Cancelled))
        .add(Expr::col((order_line::Entity, Column::Reserved)))
        .add(Expr::col((order_line::Entity, Column::Allocated)))
        .add(Expr::col((order_line::Entity, Column::Backordered)))
        .add(Expr::col((order_line::Entity, Column::Shipped)));
    let short = order_line::Entity::find()
        .select_only()
        .column(Column::OrderId)
        .filter(Column::VariantId.is_not_null())
        .filter(Expr::col((order_line::Entity, Column::Quantity)).gt(held))
        .into_query();
    let staging_unpaid = channel::Entity::find()
        .select_only()
        .column(channel::Column::Id)
        .filter(channel::Column::RequiresAuthorization.eq(false))
        .into_query();
    order::Entity::find()
        .select_only()
        .column(order::Column::Id)
        .filter(order::Column::Stage.is_in([Stage::Validating, Stage::Backordered]))
        .filter(order::Column::Id.in_subquery(short))
        .join(JoinType::InnerJoin, order::Relation::Payment.def())
        .filter(
            Condition::any()
                .add(
                    Expr::col((payment::Entity, payment::Column::AuthorizedMinor))
                        .gte(Expr::col((order::Entity, order::Column::TotalMinor))),
                )
                .add(order::Column::ChannelId.in_subquery(staging_unpaid)),
        )
        .order_by_asc(order::Column::ReceivedAt)
        .limit(200)
        .into_tuple()
        .all(db)
        .await
}

/// Asks for stock again for a paid order whose holds ran out. Says whether there was anything to
/// ask for.
pub async fn cover(tx: &Tx, reference: &Reference, id: OrderId) -> Result<bool, Failure> {
    let mut allocation = lock_with_stock(tx, reference, id).await?;
    let required = allocation.authorization_required(id);
    let wanting = allocation.orders.get(&id).is_some_and(|aggregate| {
        aggregate.order.status == Status::Received
            && !aggregate.is_blocked()
            && aggregate.is_paid_for(tx, required)
            && aggregate
                .lines
                .iter()
                .any(|line| line.variant_id.is_some() && aggregate::missing(line) > 0)
    });
    if wanting {
        allocation.hold_missing(tx, id);
        allocation.put_back(tx);
    }
    Ok(wanting)
}

/// The unreleased orders whose authorisation has run out.
pub async fn with_expired_authorizations(
    db: &impl sea_orm::ConnectionTrait,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Vec<OrderId>, sea_orm::DbErr> {
    payment::Entity::find()
        .select_only()
        .column(payment::Column::OrderId)
        .join(JoinType::InnerJoin, order::Relation::Payment.def().rev())
        .filter(payment::Column::AuthorizationExpiresAt.lte(now))
        .filter(order::Column::Status.eq(Status::Received))
        .limit(200)
        .into_tuple()
        .all(db)
        .await
}

/// Marks an order whose authorisation has run out before it was released: what is left of it is
/// given back, and the order waits for another payment.
pub async fn expire_authorization(tx: &Tx, id: OrderId) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, id).await?;
    let run_out = aggregate.payment.as_ref().is_some_and(|payment| {
        payment
            .authorization_expires_at
            .is_some_and(|until| until <= tx.now)
    });
    if !run_out || aggregate.order.status != Status::Received {
        return Ok(Changed::only(id));
    }
    let effects = give_back_money(tx, &mut aggregate).await?;
    if let Some(payment) = aggregate.payment.as_mut() {
        payments::expect_expiry(tx, payment, None);
    }
    let finding = Finding {
        code: Code::PaymentExpired,
        line: None,
        field: "payment".to_owned(),
        message: "the authorisation ran out before the order could be released".to_owned(),
        details: serde_json::json!({}),
        rule: None,
    };
    open_exception(tx, &mut aggregate, &finding);
    aggregate.save(tx);
    Ok(Changed {
        order_id: id,
        effects,
    })
}

/// What [`available_actions`] follows from, besides the order itself.
pub struct Around<'a> {
    /// Its holds, lifted ones included.
    pub holds: &'a [entity::hold::Model],
    /// Its exceptions, settled ones included.
    pub exceptions: &'a [order_exception::Model],
    /// Its payment.
    pub payment: Option<&'a payment::Model>,
    /// What was asked of its gateway.
    pub transactions: &'a [payment_transaction::Model],
    /// Whether its channel asks for the money before staging.
    pub authorization_required: bool,
}

impl Around<'_> {
    fn is_authorized(&self, order: &order::Model) -> bool {
        self.payment
            .is_some_and(|payment| payment.authorized_minor >= order.total_minor)
    }

    /// Whether the money is there, or is not asked for before staging.
    fn is_paid(&self, order: &order::Model) -> bool {
        !self.authorization_required
            || self.is_authorized(order) && !self.has_open(Code::PaymentExpired)
    }

    fn open_exceptions(&self) -> impl Iterator<Item = &order_exception::Model> {
        use ExceptionStatus::{Assigned, Open};
        self.exceptions
            .iter()
            .filter(|exception| matches!(exception.status, Open | Assigned))
    }

    fn has_open(&self, code: Code) -> bool {
        let code = code.as_str();
        self.open_exceptions()
            .any(|exception| exception.code == code)
    }

    fn in_flight(&self, kind: Kind) -> bool {
        self.transactions.iter().any(|one| {
            one.kind == kind && matches!(one.state, State::Ready | State::Sent | State::Unknown)
        })
    }

    /// Why an exception cannot be settled by a person's word alone.
    fn beyond_words(
        &self,
        order: &order::Model,
        exception: &order_exception::Model,
    ) -> Option<&'static str> {
        let voiding = self.in_flight(Kind::Void);
        beyond_words(&exception.code, self.is_paid(order), voiding)
    }

    /// Why an action that the order's status allows would find nothing to act on.
    fn closed(&self, order: &order::Model, action: Action) -> Option<&'static str> {
        let voiding = self.in_flight(Kind::Void);
        match action {
            Action::ReleaseHold => self
                .holds
                .iter()
                .all(|hold| hold.released_at.is_some())
                .then_some("no hold stands"),
            Action::ResolveException => {
                let mut reason = Some("no exception is open");
                for exception in self.open_exceptions() {
                    reason = self.beyond_words(order, exception);
                    if reason.is_none() {
                        break;
                    }
                }
                reason
            }
            Action::ReopenException => self
                .exceptions
                .iter()
                .all(|exception| {
                    let again =
                        |other: &order_exception::Model| other.reopens_id == Some(exception.id);
                    exception.resolved_at.is_none() || self.exceptions.iter().any(again)
                })
                .then_some("no exception was settled"),
            Action::RetryPayment => {
                if order.payment_method != PaymentMethod::Card || self.payment.is_none() {
                    Some("the order is not paid by card")
                } else if voiding || self.in_flight(Kind::Authorization) {
                    Some("the last payment has no answer yet")
                } else {
                    match self.has_open(Code::VoidDeclined) {
                        true => self.is_authorized(order).then_some(voids::NOT_BACK),
                        false => self
                            .is_authorized(order)
                            .then_some("the order is paid for already"),
                    }
                }
            }
            Action::RetryCapture => {
                if !self.has_open(Code::CaptureFailed) {
                    Some(captures::NONE_FAILED)
                } else {
                    let asked = self.in_flight(Kind::Capture);
                    asked.then_some(captures::ASKED_ALREADY)
                }
            }
            Action::Reauthorize => {
                if order.payment_method != PaymentMethod::Card || self.payment.is_none() {
                    Some(captures::NO_CARD)
                } else if self.in_flight(Kind::Authorization) {
                    Some("the last payment has no answer yet")
                } else {
                    let all = self.payment.is_some_and(|payment| {
                        payment.captured_minor + payment.capture_pending_minor >= order.total_minor
                    });
                    all.then_some(captures::NOTHING_LEFT)
                }
            }
            Action::Return => {
                // A hold stands before what has left; what was captured has left.
                let captured = |payment: &payment::Model| payment.captured_minor > 0;
                let left = match order.fulfillment_status {
                    FulfillmentStatus::Fulfilled | FulfillmentStatus::PartiallyFulfilled => true,
                    _ => self.payment.is_some_and(captured),
                };
                (!left).then_some("nothing of it has left")
            }
            Action::Refund => {
                let left = self.payment.is_some_and(|payment| {
                    payment.captured_minor > payment.refunded_minor + payment.refund_pending_minor
                });
                (!left).then_some(refunds::NOTHING_LEFT)
            }
            Action::RetryRefund => {
                if self.has_open(Code::RefundFailed) {
                    let asked = self.in_flight(Kind::Refund);
                    asked.then_some(refunds::ASKED_ALREADY)
                } else {
                    Some(refunds::NONE_FAILED)
                }
            }
            Action::RetryVoid => {
                if self.has_open(Code::VoidDeclined) {
                    voiding.then_some(voids::ASKED_ALREADY)
                } else {
                    Some(voids::NONE_DECLINED)
                }
            }
            _ => None,
        }
    }
}

/// What people do to orders, in the order of a life.
pub fn actions_of_people() -> impl Iterator<Item = Action> {
    Action::ALL
        .into_iter()
        .filter(|action| !matches!(action, Action::Confirm | Action::Expire | Action::Complete))
}

/// What may come next, from the lifecycle's own table and what is around the order: each action,
/// whether it is open now, and if not, why.
pub fn available_actions(
    order: &order::Model,
    around: &Around<'_>,
) -> Vec<(Action, Option<String>)> {
    actions_of_people()
        .map(|action| {
            let reason = lifecycle::next(order.status, action)
                .err()
                .map(|illegal| format!("the order is {}", aggregate::status_name(illegal.from)))
                .or_else(|| around.closed(order, action).map(str::to_owned));
            (action, reason)
        })
        .collect()
}
