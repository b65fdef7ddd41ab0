//! What waits for a person: exceptions that checks open, and holds that people place.
//!
//! A blocking exception or a hold stops its own order and nothing else. This room writes their
//! rows; what they mean to the order is decided in `orders`.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use entity::order_exception::{Severity, Status};
use entity::{
    ExceptionId, HoldId, LineId, OrderId, exception_rule, hold, order_exception, order_line,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use serde_json::{Value as Json, json};

use crate::failure::{Code, Problem};
use crate::tx::Tx;

pub mod rules;

/// Something that a check or a rule found wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What is wrong.
    pub code: Code,
    /// The line, by its place on the order, if it is about one.
    pub line: Option<usize>,
    /// Where in the input, dots between the parts: `lines.3.quantity`.
    pub field: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The facts.
    pub details: Json,
    /// The rule that found it; none = a check did.
    pub rule: Option<Arc<exception_rule::Model>>,
}

impl Finding {
    /// How bad it is, whether it stops the order, whose it is, and what may be done about it.
    pub fn policy(&self) -> Policy<'_> {
        use Severity::*;
        let policy = |severity, blocking, queue, actions: &[&'static str]| Policy {
            severity,
            blocking,
            queue,
            actions: serde_json::json!(actions),
        };
        if let Some(rule) = &self.rule {
            return match self.code {
                Code::RuleFailed => policy(Medium, false, &rule.queue, &["OVERRIDE"]),
                _ => Policy {
                    severity: rule.severity,
                    blocking: rule.blocking,
                    queue: &rule.queue,
                    actions: rule.suggested_actions.clone(),
                },
            };
        }
        match self.code {
            Code::SkuUnknown => policy(High, true, "catalogue", &["EDIT", "CANCEL"]),
            Code::CreditNotGranted => policy(High, true, "credit", &["CANCEL"]),
            Code::SkuNotListed | Code::SkuDiscontinued | Code::PriceMissing => {
                policy(High, true, "catalogue", &["OVERRIDE", "EDIT", "CANCEL"])
            }
            Code::InsufficientStock => policy(
                High,
                true,
                "stock",
                &["SPLIT_OFF", "OVERRIDE", "EDIT", "CANCEL"],
            ),
            Code::PriceMismatch | Code::ShippingMismatch => policy(
                Medium,
                true,
                "pricing",
                &["REPRICE", "ACCEPT_THEIRS", "OVERRIDE", "EDIT", "CANCEL"],
            ),
            Code::TotalMismatch | Code::PromotionRejected | Code::PromotionLimitReached => {
                policy(Medium, true, "pricing", &["OVERRIDE", "EDIT", "CANCEL"])
            }
            Code::TitleMismatch => policy(Low, false, "catalogue", &["OVERRIDE"]),
            Code::CreditLimitExceeded => {
                policy(High, true, "credit", &["OVERRIDE", "EDIT", "CANCEL"])
            }
            Code::PaymentDeclined | Code::PaymentExpired | Code::PaymentInvalid => {
                policy(High, true, "payments", &["RETRY_PAYMENT", "EDIT", "CANCEL"])
            }
            Code::RefundFailed => policy(High, false, "payments", &["RETRY_REFUND", "OVERRIDE"]),
            Code::VoidDeclined => policy(High, true, "payments", &["RETRY_VOID", "OVERRIDE"]),
            Code::CaptureFailed => policy(
                High,
                false,
                "payments",
                &["RETRY_CAPTURE", "REAUTHORIZE", "OVERRIDE"],
            ),
            Code::AuthorizationExpiring => {
                policy(Medium, false, "payments", &["REAUTHORIZE", "OVERRIDE"])
            }
            Code::Chargeback => policy(High, false, "payments", &["OVERRIDE"]),
            Code::PaymentUnknown => policy(High, false, "payments", &[]),
            Code::SettlementDifference => policy(Medium, false, "finance", &[]),
            Code::NoPickupScan => policy(Medium, false, "logistics", &["OVERRIDE"]),
            Code::ShippingUnavailable => {
                policy(High, true, "logistics", &["OVERRIDE", "EDIT", "CANCEL"])
            }
            Code::AddressInvalid => policy(
                Medium,
                true,
                "customer",
                &["ACCEPT_ADDRESS", "EDIT", "OVERRIDE", "CANCEL"],
            ),
            _ => policy(Medium, true, "customer", &["OVERRIDE", "EDIT", "CANCEL"]),
        }
    }
}

impl Finding {
    /// More of a SKU that may not be backordered is wanted than there is.
    pub fn shortage(line: &order_line::Model, requested: i64, available: i64) -> Finding {
        let sku = &line.sku;
        let place = line.position;
        Finding {
            code: Code::InsufficientStock,
            line: usize::try_from(place).ok(),
            field: format!("lines.{place}.quantity"),
            message: format!("{sku}: {requested} wanted, {available} available"),
            details: json!({ "sku": sku, "requested": requested, "available": available }),
            rule: None,
        }
    }

    /// The finding as the reason why the input is refused.
    pub fn refusal(&self) -> Problem {
        Problem::new(self.code, self.message.clone())
            .at(&format!("input.{}", self.field))
            .with(self.details.clone())
    }
}

/// What follows from a finding.
pub struct Policy<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// Whether it stops the order.
    pub blocking: bool,
    /// The team whose it is.
    pub queue: &'a str,
    /// What may be done about it, as an array of names.
    pub actions: Json,
}

/// What may be done about an exception where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Settle it by a person's word.
    Override,
    /// Take the address that the verification suggests.
    AcceptAddress,
    /// Charge what we ask.
    Reprice,
    /// Charge what the channel said.
    AcceptTheirs,
    /// Change the order.
    Edit,
    /// Make what is missing an order of its own.
    SplitOff,
    /// Try another card.
    RetryPayment,
    /// Ask the gateway for the money again.
    RetryVoid,
    /// Ask the gateway again for what is due for shipments.
    RetryCapture,
    /// Have what is due set aside afresh.
    Reauthorize,
    /// Ask the gateway again to give money back.
    RetryRefund,
    /// Call the order off.
    Cancel,
}

impl Remedy {
    /// Every remedy, with its name as it is stored and suggested.
    const NAMES: [(Remedy, &'static str); 12] = [
        (Remedy::Override, "OVERRIDE"),
        (Remedy::AcceptAddress, "ACCEPT_ADDRESS"),
        (Remedy::Reprice, "REPRICE"),
        (Remedy::AcceptTheirs, "ACCEPT_THEIRS"),
        (Remedy::Edit, "EDIT"),
        (Remedy::SplitOff, "SPLIT_OFF"),
        (Remedy::RetryPayment, "RETRY_PAYMENT"),
        (Remedy::RetryVoid, "RETRY_VOID"),
        (Remedy::RetryCapture, "RETRY_CAPTURE"),
        (Remedy::Reauthorize, "REAUTHORIZE"),
        (Remedy::RetryRefund, "RETRY_REFUND"),
        (Remedy::Cancel, "CANCEL"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = |(remedy, _): &&(Remedy, _)| *remedy == self;
        Remedy::NAMES
            .iter()
            .find(named)
            .map_or("", |(_, name)| name)
    }

    /// The remedies that an array of names suggests, the best first. Names that are none of ours
    /// are somebody's own and cannot be run.
    pub fn suggested(names: &Json) -> Vec<Remedy> {
        let known = |name: &Json| {
            Remedy::NAMES
                .iter()
                .find(|(_, known)| name == known)
                .map(|(remedy, _)| *remedy)
        };
        names
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(known)
            .collect()
    }
}

/// How long a team has for an exception, by severity.
fn time_to_settle(severity: Severity) -> Duration {
    match severity {
        Severity::Critical => Duration::minutes(15),
        Severity::High => Duration::hours(1),
        Severity::Medium => Duration::hours(4),
        Severity::Low => Duration::hours(24),
    }
}

/// A new exception; the caller emits its event and writes it.
pub fn row(
    tx: &Tx,
    order_id: OrderId,
    line_id: Option<LineId>,
    finding: &Finding,
) -> order_exception::Model {
    let policy = finding.policy();
    order_exception::Model {
        id: tx.id::<ExceptionId>(),
        order_id,
        line_id,
        code: finding.code.as_str(),
        rule_id: finding.rule.as_ref().map(|rule| rule.id),
        rule_version: finding.rule.as_ref().map(|rule| rule.version),
        severity: policy.severity,
        blocking: policy.blocking,
        status: Status::Open,
        queue: policy.queue.to_owned(),
        owner: None,
        summary: finding.message.clone(),
        details: finding.details.clone(),
        suggested_actions: policy.actions,
        opened_at: tx.now,
        due_at: tx.now + time_to_settle(policy.severity),
        assigned_at: None,
        snoozed_until: None,
        resolved_at: None,
        resolved_by: None,
        resolution: None,
        settled_secs: None,
        reopens_id: None,
    }
}

/// A new exception that says what another one says, of an order or a part of it; the caller emits
/// its event and writes it.
pub fn alike(
    tx: &Tx,
    other: &order_exception::Model,
    order_id: OrderId,
    line_id: Option<LineId>,
) -> order_exception::Model {
    order_exception::Model {
        id: tx.id::<ExceptionId>(),
        order_id,
        line_id,
        status: Status::Open,
        owner: None,
        opened_at: tx.now,
        due_at: tx.now + time_to_settle(other.severity),
        assigned_at: None,
        snoozed_until: None,
        resolved_at: None,
        resolved_by: None,
        resolution: None,
        settled_secs: None,
        reopens_id: None,
        ..other.clone()
    }
}

/// Writes whose an exception is.
pub fn hand_over(tx: &Tx, exception: &order_exception::Model) {
    use order_exception::Column;
    tx.defer(
        order_exception::Entity::update_many()
            .col_expr(Column::Status, Expr::value(exception.status))
            .col_expr(Column::Queue, Expr::value(exception.queue.clone()))
            .col_expr(Column::Owner, Expr::value(exception.owner.clone()))
            .col_expr(Column::AssignedAt, Expr::value(exception.assigned_at))
            .filter(Column::Id.eq(exception.id))
            .into_query(),
    );
}

/// Writes until when an exception is out of sight.
pub fn snooze(tx: &Tx, id: ExceptionId, until: Option<DateTime<Utc>>) {
    use order_exception::Column;
    tx.defer(
        order_exception::Entity::update_many()
            .col_expr(Column::SnoozedUntil, Expr::value(until))
            .filter(Column::Id.eq(id))
            .into_query(),
    );
}

/// The exceptions whose sleep is over, with their orders.
pub async fn awake(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<order_exception::Model>, DbErr> {
    use order_exception::Column;
    order_exception::Entity::find()
        .filter(Column::Status.is_in([Status::Open, Status::Assigned]))
        .filter(Column::SnoozedUntil.lte(now))
        .order_by_asc(Column::SnoozedUntil)
        .limit(200)
        .all(db)
        .await
}

/// Writes new exceptions.
pub fn write(tx: &Tx, exceptions: Vec<order_exception::Model>) {
    let rows: Vec<order_exception::ActiveModel> = exceptions.into_iter().map(Into::into).collect();
    tx.defer_rows(rows, |insert| insert);
}

/// The exceptions of orders that are not settled, oldest first.
pub async fn open_ones(tx: &Tx, orders: &[OrderId]) -> Result<Vec<order_exception::Model>, DbErr> {
    order_exception::Entity::find()
        .filter(order_exception::Column::OrderId.is_in(orders.iter().copied()))
        .filter(order_exception::Column::Status.is_in([Status::Open, Status::Assigned]))
        .all(tx.db())
        .await
}

/// Marks an exception as settled. The order is locked, so nobody else does.
pub fn settle(tx: &Tx, exception: &order_exception::Model, status: Status, resolution: &str) {
    use order_exception::Column;
    let took = std::cmp::max(0, (tx.now - exception.opened_at).num_seconds());
    tx.defer(
        order_exception::Entity::update_many()
            .col_expr(Column::Status, Expr::value(status))
            .col_expr(Column::ResolvedAt, Expr::value(Some(tx.now)))
            .col_expr(Column::ResolvedBy, Expr::value(Some(tx.actor.name.clone())))
            .col_expr(Column::Resolution, Expr::value(Some(resolution.to_owned())))
            .col_expr(Column::SettledSecs, Expr::value(Some(took)))
            .filter(Column::Id.eq(exception.id))
            .into_query(),
    );
}

/// The holds of orders that stand.
pub async fn holds(tx: &Tx, orders: &[OrderId]) -> Result<Vec<hold::Model>, DbErr> {
    hold::Entity::find()
        .filter(hold::Column::OrderId.is_in(orders.iter().copied()))
        .filter(hold::Column::ReleasedAt.is_null())
        .all(tx.db())
        .await
}

/// Places a hold.
pub fn place_hold(tx: &Tx, order_id: OrderId, reason: &str) -> hold::Model {
    let row = hold::Model {
        id: tx.id::<HoldId>(),
        order_id,
        reason: reason.to_owned(),
        placed_by: tx.actor.name.clone(),
        placed_at: tx.now,
        released_by: None,
        released_at: None,
    };
    let active: hold::ActiveModel = row.clone().into();
    tx.defer_rows(vec![active], |insert| insert);
    row
}

/// Lifts a hold.
pub fn lift_hold(tx: &Tx, id: HoldId) {
    use hold::Column;
    tx.defer(
        hold::Entity::update_many()
            .col_expr(Column::ReleasedBy, Expr::value(Some(tx.actor.name.clone())))
            .col_expr(Column::ReleasedAt, Expr::value(Some(tx.now)))
            .filter(Column::Id.eq(id))
            .into_query(),
    );
}
