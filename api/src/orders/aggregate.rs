//! An order with everything that its decisions are made from, locked until the transaction ends.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use entity::order::{FulfillmentStatus, PaymentStatus, Stage, Status};
use entity::{
    LineId, OrderId, fulfillment_order, hold, order, order_exception, order_line, payment,
    reservation,
};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait};

use super::lifecycle::{self, Action};
use super::work::{self, Work};
use crate::events::{Entry, Event, Moved};
use crate::exceptions;
use crate::failure::{Code, Failure, Problem};
use crate::payments;
use crate::tx::Tx;

/// An order, locked.
pub struct Aggregate {
    /// The order's row.
    pub order: order::Model,
    /// Its lines, in their order.
    pub lines: Vec<order_line::Model>,
    /// Its payment.
    pub payment: Option<payment::Model>,
    /// Its holds that stand.
    pub holds: Vec<hold::Model>,
    /// Its exceptions that are not settled.
    pub exceptions: Vec<order_exception::Model>,
    /// What the warehouses have of it.
    pub work: Vec<Work>,
    /// Where it stood when it was read; none if it is new.
    was: Option<Stage>,
    changed_lines: BTreeSet<LineId>,
    changed: bool,
    firm: bool,
}

/// Locks orders, by id, and reads what belongs to them. Orders that are not there are left out.
pub async fn lock(
    tx: &Tx,
    orders: impl IntoIterator<Item = OrderId>,
) -> Result<BTreeMap<OrderId, Aggregate>, Failure> {
    let ids: BTreeSet<OrderId> = orders.into_iter().collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut query = order::Entity::find()
        .find_both_related(payment::Entity)
        .filter(order::Column::Id.is_in(ids.iter().copied()))
        .order_by_asc(order::Column::Id);
    if tx.locks_rows() {
        // The payment, too, or who has waited for the order would see the payment as it was
        // before the wait: after a lock is won, only locked rows are looked at again.
        QueryTrait::query(&mut query).lock(LockType::Update);
    }
    let rows = query.all(tx.db()).await?;
    let ids: Vec<OrderId> = rows.iter().map(|(row, _)| row.id).collect();
    let mut lines: BTreeMap<OrderId, Vec<order_line::Model>> = BTreeMap::new();
    for line in order_line::Entity::find()
        .filter(order_line::Column::OrderId.is_in(ids.iter().copied()))
        .order_by_asc(order_line::Column::Position)
        .all(tx.db())
        .await?
    {
        lines.entry(line.order_id).or_default().push(line);
    }
    let mut holds: BTreeMap<OrderId, Vec<hold::Model>> = BTreeMap::new();
    for hold in exceptions::holds(tx, &ids).await? {
        holds.entry(hold.order_id).or_default().push(hold);
    }
    let mut open: BTreeMap<OrderId, Vec<order_exception::Model>> = BTreeMap::new();
    for exception in exceptions::open_ones(tx, &ids).await? {
        open.entry(exception.order_id).or_default().push(exception);
    }
    // No warehouse has anything of an order that was never released.
    let released: Vec<OrderId> = rows
        .iter()
        .filter(|(row, _)| row.confirmed_at.is_some())
        .map(|(row, _)| row.id)
        .collect();
    let mut work = work::of(tx, &released).await?;
    Ok(rows
        .into_iter()
        .map(|(order, payment)| {
            let id = order.id;
            let aggregate = Aggregate {
                lines: lines.remove(&id).unwrap_or_default(),
                payment: Some(payment),
                holds: holds.remove(&id).unwrap_or_default(),
                exceptions: open.remove(&id).unwrap_or_default(),
                work: work.remove(&id).unwrap_or_default(),
                was: Some(order.stage),
                changed_lines: BTreeSet::new(),
                changed: false,
                firm: false,
                order,
            };
            (id, aggregate)
        })
        .collect())
}

impl Aggregate {
    /// A new order, not written yet.
    pub fn new(order: order::Model, lines: Vec<order_line::Model>) -> Aggregate {
        Aggregate {
            order,
            lines,
            payment: None,
            holds: Vec::new(),
            exceptions: Vec::new(),
            work: Vec::new(),
            was: None,
            changed_lines: BTreeSet::new(),
            changed: false,
            firm: false,
        }
    }

    /// Refuses if the caller decided on an older version.
    pub fn expect_version(&self, expected: Option<i64>) -> Result<(), Problem> {
        expect_version(&self.order, expected)
    }

    /// Moves the status by the lifecycle's law, or refuses with `code`. An order that leaves its
    /// release leaves the warehouses, too: called off, what has not left the house comes back; sent
    /// through its gates again, what nobody has begun with.
    pub fn transition(&mut self, tx: &Tx, action: Action, code: Code) -> Result<(), Problem> {
        let from = self.order.status;
        let to = lifecycle::next(from, action).map_err(|illegal| {
            Problem::new(code, format!("the order is {}", status_name(illegal.from)))
                .with(serde_json::json!({ "status": illegal.from }))
        })?;
        if from == Status::Confirmed && matches!(to, Status::Received | Status::Cancelled) {
            let started = match to {
                Status::Cancelled => work_started(&self.work, FulfillmentStarted::Left),
                _ => work_started(&self.work, FulfillmentStarted::Begun),
            };
            if let Some(reason) = started {
                return Err(Problem::new(code, reason)
                    .with(serde_json::json!({ "status": from, "stage": self.order.stage })));
            }
            for work in &mut self.work {
                work.withdraw(tx);
            }
        }
        self.order.status = to;
        self.changed = true;
        Ok(())
    }

    /// Marks it as changed, so that it is written back.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// Says what happened, under the order's next version.
    pub fn record(&mut self, tx: &Tx, event: Event) {
        self.order.version += 1;
        self.changed = true;
        tx.emit(Entry {
            aggregate_type: "order",
            aggregate_id: self.order.id.to_string(),
            version: self.order.version,
            channel_id: Some(self.order.channel_id),
            order_id: Some(self.order.id),
            moved: None,
            event,
        });
    }

    /// A line to change.
    pub fn line_mut(&mut self, id: LineId) -> Option<&mut order_line::Model> {
        let line = self.lines.iter_mut().find(|line| line.id == id)?;
        self.changed_lines.insert(id);
        Some(line)
    }

    /// Whether a hold or a blocking exception stops it.
    pub fn is_blocked(&self) -> bool {
        !self.holds.is_empty() || self.exceptions.iter().any(|exception| exception.blocking)
    }

    /// Whether an exception of this kind is not settled.
    pub fn has_open(&self, code: Code) -> bool {
        let code = code.as_str();
        self.exceptions
            .iter()
            .any(|exception| exception.code == code)
    }

    /// Whether the money is there: authorised ≥ due and not run out, or the channel does not ask
    /// for it. What has run out counts no more, even before the gateway has given it back.
    pub fn is_paid_for(&self, tx: &Tx, required: bool) -> bool {
        !required
            || self.order.total_minor == 0
            || !self.has_open(Code::PaymentExpired)
                && self.payment.as_ref().is_some_and(|payment| {
                    payment.authorized_minor >= self.order.total_minor
                        && payment
                            .authorization_expires_at
                            .is_none_or(|until| tx.now < until)
                })
    }

    /// How much is set aside and not due, in minor units: all of it once the order has ended or
    /// the authorisation has run out.
    pub fn excess_minor(&self) -> i64 {
        let Some(payment) = &self.payment else {
            return 0;
        };
        let open = payments::open_minor(payment);
        if lifecycle::is_terminal(self.order.status) || self.has_open(Code::PaymentExpired) {
            return open;
        }
        (payment.authorized_minor - self.order.total_minor).clamp(0, std::cmp::max(open, 0))
    }

    /// Whether every unit that is still wanted is held.
    pub fn is_covered(&self) -> bool {
        self.lines
            .iter()
            .all(|line| missing(line) == 0 && line.backordered == 0)
    }

    /// Releases the order to staging if every gate is green: nothing stops it, the money is
    /// there, and every unit is held. What is held for an order that only waits for stock becomes
    /// firm already: its holds must not run out while it waits for the rest. So does what a
    /// confirmed order gets again after a count.
    pub fn confirm_if_green(
        &mut self,
        tx: &Tx,
        authorization_required: bool,
        dispatch_within: TimeDelta,
    ) {
        let ready = !self.is_blocked()
            && match self.order.status {
                Status::Received => self.is_paid_for(tx, authorization_required),
                Status::Confirmed => true,
                _ => false,
            };
        if !ready {
            return;
        }
        for line in self.lines.iter_mut().filter(|line| line.reserved > 0) {
            line.allocated += line.reserved;
            line.reserved = 0;
            self.changed_lines.insert(line.id);
            self.firm = true;
            self.changed = true;
        }
        if self.order.status != Status::Received
            || !self.is_covered()
            || self
                .transition(tx, Action::Confirm, Code::OrderStateInvalid)
                .is_err()
        {
            return;
        }
        self.order.confirmed_at = Some(tx.now);
        self.order.dispatch_by = Some(tx.now + dispatch_within);
        self.record(tx, Event::OrderConfirmed {});
    }

    /// Whether its soft holds became firm in this transaction.
    pub fn became_firm(&self) -> bool {
        self.firm
    }

    /// Works the derived axes out afresh. If the order comes to another stage by what happened, its
    /// newest event says so.
    pub fn derive(&mut self, tx: &Tx) {
        self.order.payment_status = payment_status(&self.order, self.payment.as_ref());
        self.work.iter_mut().for_each(Work::settle);
        let progress = self.progress();
        for line in &mut self.lines {
            let (picked, packed) = progress.get(&line.id).copied().unwrap_or_default();
            if (line.picked, line.packed) != (picked, packed) {
                (line.picked, line.packed) = (picked, packed);
                self.changed_lines.insert(line.id);
            }
        }
        self.order.fulfillment_status = self.fulfillment_status();
        let waits = self.lines.iter().any(|line| line.backordered > 0);
        self.order.unrouted = self.order.status == Status::Confirmed
            && !self.is_blocked()
            && !waits
            && !self.unrouted().is_empty();
        self.order.stage = stage(
            self.order.status,
            self.is_blocked(),
            waits,
            self.least_advanced(),
        );
        let watched = matches!(self.order.stage, Stage::Shipped | Stage::Delivered)
            || lifecycle::is_terminal(self.order.status);
        self.order.settles_at = watched.then_some(tx.now);
        let to = self.order.stage;
        if self.was != Some(to) {
            self.order.stage_since = tx.now;
            tx.moved(self.order.id, Moved { from: self.was, to });
            self.was = Some(to);
        }
    }

    /// How far the warehouses are with it.
    fn fulfillment_status(&self) -> FulfillmentStatus {
        let shipped: i64 = self.lines.iter().map(|line| line.shipped).sum();
        let wanted: i64 = self
            .lines
            .iter()
            .map(|line| line.quantity - line.cancelled)
            .sum();
        let begun = |work: &Work| work.row.status == fulfillment_order::Status::InProgress;
        if !self.holds.is_empty() {
            FulfillmentStatus::OnHold
        } else if shipped > 0 && shipped >= wanted {
            FulfillmentStatus::Fulfilled
        } else if shipped > 0 {
            FulfillmentStatus::PartiallyFulfilled
        } else if self.work.iter().any(begun) {
            FulfillmentStatus::InProgress
        } else {
            FulfillmentStatus::Unfulfilled
        }
    }

    /// Where the work that is least advanced stands; units that no warehouse has are only staged.
    fn least_advanced(&self) -> Stage {
        if !self.unrouted().is_empty() {
            return Stage::Staged;
        }
        self.work
            .iter()
            .filter(|work| work.row.status != fulfillment_order::Status::Cancelled)
            .map(Work::stage)
            .min_by_key(|stage| rank(*stage))
            .unwrap_or(Stage::Staged)
    }

    /// Writes back what changed. Soft holds that became firm are
    /// written too, except those that the same transaction makes: see `Shelf::firm_up`.
    pub fn save(mut self, tx: &Tx) {
        if !self.changed {
            return;
        }
        self.derive(tx);
        let order = &self.order;
        use order::Column;
        tx.defer(
            order::Entity::update_many()
                .col_expr(Column::Status, Expr::value(order.status))
                .col_expr(Column::PaymentStatus, Expr::value(order.payment_status))
                .col_expr(
                    Column::FulfillmentStatus,
                    Expr::value(order.fulfillment_status),
                )
                .col_expr(Column::Stage, Expr::value(order.stage))
                .col_expr(Column::StageSince, Expr::value(order.stage_since))
                .col_expr(Column::DispatchBy, Expr::value(order.dispatch_by))
                .col_expr(
                    Column::CancelReason,
                    Expr::value(order.cancel_reason.clone()),
                )
                .col_expr(Column::ConfirmedAt, Expr::value(order.confirmed_at))
                .col_expr(Column::ClosedAt, Expr::value(order.closed_at))
                .col_expr(Column::UpdatedAt, Expr::value(tx.now))
                .col_expr(Column::Version, Expr::value(order.version))
                .col_expr(Column::Unrouted, Expr::value(order.unrouted))
                .col_expr(Column::SettlesAt, Expr::value(order.settles_at))
                .col_expr(Column::ReturnStatus, Expr::value(order.return_status))
                .filter(Column::Id.eq(order.id))
                .into_query(),
        );
        if self.firm {
            use reservation::Column;
            tx.defer(
                reservation::Entity::update_many()
                    .col_expr(Column::Status, Expr::value(reservation::Status::Allocated))
                    .col_expr(
                        Column::ExpiresAt,
                        Expr::value(None::<chrono::DateTime<chrono::Utc>>),
                    )
                    .col_expr(Column::UpdatedAt, Expr::value(tx.now))
                    .filter(Column::OrderId.eq(order.id))
                    .filter(Column::Status.eq(reservation::Status::Active))
                    .into_query(),
            );
        }
        for line in self
            .lines
            .iter()
            .filter(|line| self.changed_lines.contains(&line.id))
        {
            use order_line::Column;
            tx.defer(
                order_line::Entity::update_many()
                    .col_expr(Column::Reserved, Expr::value(line.reserved))
                    .col_expr(Column::Allocated, Expr::value(line.allocated))
                    .col_expr(Column::Backordered, Expr::value(line.backordered))
                    .col_expr(Column::Picked, Expr::value(line.picked))
                    .col_expr(Column::Packed, Expr::value(line.packed))
                    .col_expr(Column::Shipped, Expr::value(line.shipped))
                    .col_expr(Column::Cancelled, Expr::value(line.cancelled))
                    .col_expr(Column::Returned, Expr::value(line.returned))
                    .filter(Column::Id.eq(line.id))
                    .into_query(),
            );
        }
        work::save(tx, &mut self.work);
    }
}

/// How far a warehouse may be before something is refused.
enum FulfillmentStarted {
    /// It has begun to pick.
    Begun,
    /// It has handed it over.
    Left,
}

/// Why the warehouses' work cannot be taken back any more.
fn work_started(work: &[Work], limit: FulfillmentStarted) -> Option<&'static str> {
    use fulfillment_order::Status::{Closed, InProgress};
    let has = |status| work.iter().any(|work| work.row.status == status);
    if has(Closed) {
        return Some("a part of it has left the warehouse");
    }
    if matches!(limit, FulfillmentStarted::Begun) && has(InProgress) {
        return Some("the warehouse has begun to pick it");
    }
    None
}

/// How far a stage of the warehouse is.
fn rank(stage: Stage) -> usize {
    use Stage::*;
    [Staged, Picking, Packing, Ready, Shipped, Delivered]
        .iter()
        .position(|one| *one == stage)
        .unwrap_or_default()
}

/// Refuses if the caller decided on another version of an order.
pub fn expect_version(order: &order::Model, expected: Option<i64>) -> Result<(), Problem> {
    let current = order.version;
    match expected {
        Some(expected) if expected != current => Err(Problem::new(
            Code::StaleVersion,
            format!("the order is at version {current}, not {expected}"),
        )
        .at("input.expectedVersion")
        .with(serde_json::json!({ "currentVersion": current }))),
        _ => Ok(()),
    }
}

/// How many units of a line are wanted and neither held, waited for nor gone.
pub fn missing(line: &order_line::Model) -> i64 {
    line.quantity
        - line.cancelled
        - line.reserved
        - line.allocated
        - line.backordered
        - line.shipped
}

/// The status as people read it.
pub fn status_name(status: Status) -> String {
    format!("{status:?}").to_uppercase()
}

/// Where an order stands on the live board; once it is released, where the least advanced work on
/// it does.
pub fn stage(status: Status, blocked: bool, waits_for_stock: bool, least_advanced: Stage) -> Stage {
    match status {
        Status::Cancelled | Status::Rejected | Status::Expired => Stage::Cancelled,
        Status::Completed => Stage::Completed,
        _ if blocked => Stage::OnHold,
        // A confirmed order waits again where a count has found too little.
        _ if waits_for_stock => Stage::Backordered,
        Status::Confirmed => least_advanced,
        Status::Draft | Status::Received => Stage::Validating,
    }
}

/// What a payment's amounts say about its order.
pub fn payment_status(order: &order::Model, payment: Option<&payment::Model>) -> PaymentStatus {
    let Some(payment) = payment else {
        return PaymentStatus::Pending;
    };
    if payment.refunded_minor > 0 {
        return if payment.refunded_minor >= payment.captured_minor {
            PaymentStatus::Refunded
        } else {
            PaymentStatus::PartiallyRefunded
        };
    }
    if payment.captured_minor > 0 {
        return if payment.captured_minor >= order.total_minor {
            PaymentStatus::Paid
        } else {
            PaymentStatus::PartiallyPaid
        };
    }
    if payment.voided {
        return PaymentStatus::Voided;
    }
    if payment.authorized_minor >= order.total_minor {
        return PaymentStatus::Authorized;
    }
    // UNKNOWN is a fact about the newest effect, not about the amounts; it stays until settled.
    if order.payment_status == PaymentStatus::Unknown {
        return PaymentStatus::Unknown;
    }
    PaymentStatus::Pending
}
