//! Authorisations and their ends: what is asked of a gateway, and what its answer changes.
//!
//! An effect is *intended* (a row SENT, committed), *called* (no connection held, the row's id is
//! the idempotency key) and *recorded* (compare-and-set). Only a definite answer is an answer:
//! whatever else comes back is UNKNOWN, and is resolved by asking about the same key, never by a
//! second charge.

use chrono::{DateTime, Duration, Utc};
use entity::{
    Currency, Money, OrderId, PaymentId, TransactionId, order, payment, payment_transaction,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryTrait, Set};

use crate::tx::Tx;

pub mod gateway;

pub use gateway::{Answer, PaymentGateway};

/// How long an authorisation lasts when the gateway does not say.
pub const AUTHORIZATION_DAYS: i64 = 7;

/// When to ask again about an effect without a definite answer, in seconds after the last try.
const CHECKS_SECS: [i64; 6] = [5, 15, 60, 300, 900, 3600];

/// What an order asks of its gateway.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Its row, and the idempotency key at the gateway.
    pub id: TransactionId,
    /// The order.
    pub order_id: OrderId,
    /// What is asked.
    pub kind: payment_transaction::Kind,
    /// How much.
    pub amount: Money,
    /// The card's token.
    pub instrument: Option<String>,
    /// How often the gateway has been called for it, this time included.
    pub attempts: i32,
    /// When it was first called.
    pub first_sent_at: Option<DateTime<Utc>>,
}

/// Opens the payment of an order that no gateway is asked about.
pub fn open(tx: &Tx, payment: payment::Model) {
    let row: payment::ActiveModel = payment.into();
    tx.defer_rows(vec![row], |insert| insert);
}

/// Opens the payment of an order and intends its authorisation. The call is the caller's to
/// make, right after the commit.
pub fn open_authorization(
    tx: &Tx,
    order_id: OrderId,
    gateway: &str,
    amount: Money,
    instrument: String,
) -> Effect {
    let payment_id: PaymentId = tx.id();
    open(
        tx,
        new_payment(tx, payment_id, order_id, gateway, amount.currency, 0),
    );
    intend(
        tx,
        payment_id,
        order_id,
        payment_transaction::Kind::Authorization,
        amount,
        Some(instrument),
    )
}

/// Intends an effect: writes its row as sent, since the call follows at once.
pub fn intend(
    tx: &Tx,
    payment_id: PaymentId,
    order_id: OrderId,
    kind: payment_transaction::Kind,
    amount: Money,
    instrument: Option<String>,
) -> Effect {
    let id: TransactionId = tx.id();
    tx.defer_rows(
        vec![payment_transaction::ActiveModel {
            id: Set(id),
            payment_id: Set(payment_id),
            order_id: Set(order_id),
            kind: Set(kind),
            amount_minor: Set(amount.minor),
            state: Set(payment_transaction::State::Sent),
            instrument: Set(instrument.clone()),
            attempts: Set(1),
            first_sent_at: Set(Some(tx.now)),
            next_check_at: Set(Some(tx.now + Duration::seconds(30))),
            gateway_reference: Set(None),
            decline_code: Set(None),
            created_at: Set(tx.now),
            updated_at: Set(tx.now),
        }],
        |insert| insert,
    );
    Effect {
        id,
        order_id,
        kind,
        amount,
        instrument,
        attempts: 1,
        first_sent_at: Some(tx.now),
    }
}

/// A payment of which so much counts as authorised, not written yet.
pub fn new_payment(
    tx: &Tx,
    id: PaymentId,
    order_id: OrderId,
    gateway: &str,
    currency: Currency,
    authorized_minor: i64,
) -> payment::Model {
    payment::Model {
        id,
        order_id,
        gateway: gateway.to_owned(),
        currency,
        authorized_minor,
        capture_pending_minor: 0,
        captured_minor: 0,
        refund_pending_minor: 0,
        refunded_minor: 0,
        voided: false,
        authorization_expires_at: None,
        created_at: tx.now,
        updated_at: tx.now,
    }
}

/// What recording an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The answer was already known, or came from an older call: nothing changed.
    Nothing,
    /// The effect happened.
    Succeeded,
    /// The gateway refused it.
    Declined,
    /// The gateway never did it, and is no longer asked to.
    NotExecuted,
    /// Still no definite answer; it will be asked about again.
    Unknown {
        /// Whether that is news.
        first: bool,
    },
}

/// Records a gateway's answer. The call's answer, a webhook and the reconciler all end here, and
/// one compare-and-set decides between them. The caller has locked the order.
pub async fn settle(
    tx: &Tx,
    effect: &Effect,
    payment: &mut payment::Model,
    answer: &Answer,
) -> Result<Settled, DbErr> {
    use payment_transaction::{Column, Entity, Kind, State};
    let open = [State::Ready, State::Sent, State::Unknown];
    let update = Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .col_expr(Column::Attempts, Expr::value(effect.attempts))
        .filter(Column::Id.eq(effect.id))
        .filter(Column::State.is_in(open));
    let settled = match answer {
        Answer::Succeeded {
            reference,
            expires_at,
        } => {
            let changed = update
                .col_expr(Column::State, Expr::value(State::Succeeded))
                .col_expr(Column::GatewayReference, Expr::value(reference.clone()))
                .col_expr(Column::NextCheckAt, Expr::value(None::<DateTime<Utc>>))
                .exec(tx.db())
                .await?
                .rows_affected;
            if changed == 0 {
                return Ok(Settled::Nothing);
            }
            match effect.kind {
                Kind::Authorization => {
                    let until = expires_at.unwrap_or(tx.now + Duration::days(AUTHORIZATION_DAYS));
                    // Of several authorisations, the first to run out decides.
                    let first = payment
                        .authorization_expires_at
                        .filter(|_| payment.authorized_minor > 0)
                        .map_or(until, |known| std::cmp::min(known, until));
                    payment.authorized_minor += effect.amount.minor;
                    payment.voided = false;
                    payment.authorization_expires_at = Some(first);
                }
                Kind::Void => {
                    lower(payment, effect.amount.minor);
                }
                // Captures and refunds are not sent yet.
                Kind::Capture | Kind::Refund => {}
            }
            write(tx, payment);
            Settled::Succeeded
        }
        Answer::Declined { code } => {
            let changed = update
                .col_expr(Column::State, Expr::value(State::Declined))
                .col_expr(Column::DeclineCode, Expr::value(code.clone()))
                .col_expr(Column::NextCheckAt, Expr::value(None::<DateTime<Utc>>))
                .exec(tx.db())
                .await?
                .rows_affected;
            if changed == 0 {
                Settled::Nothing
            } else {
                Settled::Declined
            }
        }
        Answer::NotExecuted => {
            let changed = update
                .col_expr(Column::State, Expr::value(State::NotExecuted))
                .col_expr(Column::NextCheckAt, Expr::value(None::<DateTime<Utc>>))
                .exec(tx.db())
                .await?
                .rows_affected;
            if changed == 0 {
                Settled::Nothing
            } else {
                Settled::NotExecuted
            }
        }
        Answer::Unknown => {
            let wait = CHECKS_SECS[usize::try_from(effect.attempts - 1)
                .unwrap_or(0)
                .min(CHECKS_SECS.len() - 1)];
            let first = update
                .clone()
                .col_expr(Column::State, Expr::value(State::Unknown))
                .col_expr(
                    Column::NextCheckAt,
                    Expr::value(Some(tx.now + Duration::seconds(wait))),
                )
                .filter(Column::State.ne(State::Unknown))
                .exec(tx.db())
                .await?
                .rows_affected
                > 0;
            if !first {
                let changed = update
                    .col_expr(
                        Column::NextCheckAt,
                        Expr::value(Some(tx.now + Duration::seconds(wait))),
                    )
                    .exec(tx.db())
                    .await?
                    .rows_affected;
                if changed == 0 {
                    return Ok(Settled::Nothing);
                }
            }
            Settled::Unknown { first }
        }
    };
    Ok(settled)
}

/// Takes what was given back off what is authorised.
fn lower(payment: &mut payment::Model, amount: i64) {
    payment.authorized_minor -= amount;
    if payment.authorized_minor <= payment.captured_minor {
        payment.voided = true;
        payment.authorization_expires_at = None;
    }
}

/// Writes a payment's amounts at the end of the transaction.
fn write(tx: &Tx, payment: &mut payment::Model) {
    use payment::{Column, Entity};
    payment.updated_at = tx.now;
    tx.defer(
        Entity::update_many()
            .col_expr(
                Column::AuthorizedMinor,
                Expr::value(payment.authorized_minor),
            )
            .col_expr(Column::Voided, Expr::value(payment.voided))
            .col_expr(
                Column::AuthorizationExpiresAt,
                Expr::value(payment.authorization_expires_at),
            )
            .col_expr(Column::UpdatedAt, Expr::value(tx.now))
            .filter(Column::Id.eq(payment.id))
            .into_query(),
    );
}

/// What of an authorisation is neither captured nor about to be, in minor units.
pub fn open_minor(payment: &payment::Model) -> i64 {
    payment.authorized_minor - payment.captured_minor - payment.capture_pending_minor
}

/// Gives back so much of an authorisation, of which a person says that the gateway has given it
/// back: an effect that succeeded without a call.
pub fn void_by_word(tx: &Tx, payment: &mut payment::Model, amount: i64) -> TransactionId {
    let id = tx.id::<TransactionId>();
    tx.defer_rows(
        vec![payment_transaction::ActiveModel {
            id: Set(id),
            payment_id: Set(payment.id),
            order_id: Set(payment.order_id),
            kind: Set(payment_transaction::Kind::Void),
            amount_minor: Set(amount),
            state: Set(payment_transaction::State::Succeeded),
            instrument: Set(None),
            attempts: Set(0),
            first_sent_at: Set(None),
            next_check_at: Set(None),
            gateway_reference: Set(None),
            decline_code: Set(None),
            created_at: Set(tx.now),
            updated_at: Set(tx.now),
        }],
        |insert| insert,
    );
    lower(payment, amount);
    write(tx, payment);
    id
}

/// Gives back an authorisation that no gateway holds: on account, or settled elsewhere.
pub fn void_settled(tx: &Tx, payment: &mut payment::Model) {
    payment.authorized_minor = payment.captured_minor;
    payment.voided = true;
    payment.authorization_expires_at = None;
    write(tx, payment);
}

/// The effects that are due to be asked about, oldest first, each with whether it is still wanted:
/// nobody wants the authorisation of an order that has ended.
pub async fn due(
    db: &impl sea_orm::ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<(Effect, bool)>, DbErr> {
    use payment_transaction::{Column, Entity, Kind, State};
    use sea_orm::{QueryOrder, QuerySelect};
    let rows = Entity::find()
        .filter(Column::State.is_in([State::Ready, State::Sent, State::Unknown]))
        .filter(Column::NextCheckAt.lte(now))
        .order_by_asc(Column::NextCheckAt)
        .limit(100)
        .all(db)
        .await?;
    let orders = order::Entity::find()
        .filter(order::Column::Id.is_in(rows.iter().map(|row| row.order_id)))
        .all(db)
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let order = orders.iter().find(|order| order.id == row.order_id)?;
            let wanted = row.kind != Kind::Authorization || order.closed_at.is_none();
            Some((Effect::from_row(row, order.currency), wanted))
        })
        .collect())
}

impl Effect {
    /// An effect from its row.
    pub fn from_row(row: &payment_transaction::Model, currency: Currency) -> Effect {
        Effect {
            id: row.id,
            order_id: row.order_id,
            kind: row.kind,
            amount: Money::new(row.amount_minor, currency),
            instrument: row.instrument.clone(),
            attempts: row.attempts + 1,
            first_sent_at: row.first_sent_at,
        }
    }
}

/// Counts more of an order as authorised where no gateway is asked.
pub fn authorize_settled(tx: &Tx, payment: &mut payment::Model, authorized_minor: i64) {
    payment.authorized_minor = authorized_minor;
    write(tx, payment);
}

/// Whether an order's gateway has been asked for something of this kind and has not answered.
pub async fn in_flight(
    db: &impl sea_orm::ConnectionTrait,
    order: OrderId,
    kind: payment_transaction::Kind,
) -> Result<bool, DbErr> {
    let open = open_effects(db, order).await?;
    Ok(open.iter().any(|effect| effect.kind == kind))
}

/// The effects of an order that have no definite answer yet.
pub async fn open_effects(
    db: &impl sea_orm::ConnectionTrait,
    order: OrderId,
) -> Result<Vec<payment_transaction::Model>, DbErr> {
    use payment_transaction::{Column, Entity, State};
    Entity::find()
        .filter(Column::OrderId.eq(order))
        .filter(Column::State.is_in([State::Ready, State::Sent, State::Unknown]))
        .all(db)
        .await
}

/// The instrument that last authorised something for an order.
pub async fn last_instrument(tx: &Tx, order: OrderId) -> Result<Option<String>, DbErr> {
    use payment_transaction::{Column, Entity, Kind};
    use sea_orm::QueryOrder;
    let newest = Entity::find()
        .filter(Column::OrderId.eq(order))
        .filter(Column::Kind.eq(Kind::Authorization))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .one(tx.db())
        .await?;
    Ok(newest.and_then(|effect| effect.instrument))
}

/// An authorisation that has run out no longer counts down.
pub fn forget_expiry(tx: &Tx, payment: &mut payment::Model) {
    payment.authorization_expires_at = None;
    write(tx, payment);
}
