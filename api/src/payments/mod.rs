//! Authorisations, captures and their ends: what is asked of a gateway, and what its answer changes.
//!
//! An effect is *intended* (a row SENT, committed), *called* (no connection held, the row's id is
//! the idempotency key) and *recorded* (compare-and-set). Only a definite answer is an answer:
//! whatever else comes back is UNKNOWN, and is resolved by asking about the same key, never by a
//! second charge. What is captured or refunded is reserved before the gateway is asked, so that no
//! two effects draw on the same amount.

use chrono::{DateTime, Duration, Utc};
use entity::{
    Currency, Money, OrderId, PaymentId, ShipmentId, TransactionId, order, payment,
    payment_transaction,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::tx::Tx;

pub mod authorizations;
pub mod charges;
pub mod disputes;
pub mod gateway;

use authorizations::Authorization;
pub use gateway::{Answer, PaymentGateway};

/// How long an authorisation lasts when the gateway does not say.
pub const AUTHORIZATION_DAYS: i64 = 7;

/// When to ask again about an effect without a definite answer, in seconds after the last try: soon,
/// and then each minute, so that what a gateway did is known a minute after it is back.
const CHECKS_SECS: [i64; 3] = [5, 15, 60];

/// What an order asks of its gateway.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Its row, and the idempotency key at the gateway.
    pub id: TransactionId,
    /// The order.
    pub order_id: OrderId,
    /// Which gateway.
    pub gateway: String,
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
    /// The shipment that a capture is for.
    pub shipment_id: Option<ShipmentId>,
    /// What it draws on: none if it is an authorisation.
    pub source: Option<Source>,
}

/// An earlier effect that another one draws on: of a capture and a void the authorisation, of a
/// refund the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its row.
    pub id: TransactionId,
    /// The gateway's name for it.
    pub reference: String,
    /// How much it was.
    pub amount_minor: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it runs out, if it is an authorisation.
    pub expires_at: Option<DateTime<Utc>>,
    /// What of it goes back before it is taken, with this effect, in minor units.
    pub voided_minor: i64,
}

impl Source {
    fn of(row: &payment_transaction::Model, voided_minor: i64) -> Source {
        Source {
            id: row.id,
            reference: row.gateway_reference.clone().unwrap_or_default(),
            amount_minor: row.amount_minor,
            created_at: row.created_at,
            expires_at: row.expires_at,
            voided_minor,
        }
    }
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
    let payment = new_payment(tx, tx.id(), order_id, gateway, amount.currency, 0);
    open(tx, payment.clone());
    authorize(tx, &payment, amount.minor, instrument)
}

/// Intends that an amount is set aside.
pub fn authorize(tx: &Tx, payment: &payment::Model, amount: i64, instrument: String) -> Effect {
    let kind = payment_transaction::Kind::Authorization;
    intend(tx, payment, kind, amount, Some(instrument), None, None)
}

/// Intends that so much of what is set aside goes back: at most what one authorisation has, that
/// which runs out first. The rest is asked for when its answer has come.
pub async fn void(tx: &Tx, payment: &payment::Model, amount: i64) -> Result<Option<Effect>, DbErr> {
    let Some(from) = authorizations::open_ones(tx, payment.id)
        .await?
        .into_iter()
        .next()
    else {
        return Ok(None);
    };
    let amount = std::cmp::min(amount, from.open_minor);
    let kind = payment_transaction::Kind::Void;
    let source = Source::of(&from.row, from.voided_minor + amount);
    Ok(Some(draw(
        tx, payment, kind, amount, &from.row, source, None,
    )))
}

/// Reserves what is due for a shipment, or as much of it as one authorisation has, and intends its
/// capture; none if nothing is set aside.
pub async fn capture(
    tx: &Tx,
    payment: &mut payment::Model,
    shipment_id: ShipmentId,
    due_minor: i64,
) -> Result<Option<Effect>, DbErr> {
    // What this transaction has done before counts, and no statement writes a payment twice.
    tx.flush().await?;
    let open = authorizations::open_ones(tx, payment.id).await?;
    let Some(from) = authorizations::best(&open, due_minor, tx.now) else {
        return Ok(None);
    };
    let amount = std::cmp::min(due_minor, from.open_minor);
    payment.capture_pending_minor += amount;
    write(tx, payment);
    let kind = payment_transaction::Kind::Capture;
    let (source, shipment) = (Source::of(&from.row, from.voided_minor), Some(shipment_id));
    Ok(Some(draw(
        tx, payment, kind, amount, &from.row, source, shipment,
    )))
}

/// Counts what is due for a shipment as captured where no gateway is asked: on account, or settled
/// elsewhere. None if it was never counted as authorised.
pub async fn capture_settled(
    tx: &Tx,
    payment: &mut payment::Model,
    shipment_id: ShipmentId,
    due_minor: i64,
) -> Result<Option<TransactionId>, DbErr> {
    if open_minor(payment) < due_minor {
        return Ok(None);
    }
    tx.flush().await?;
    payment.captured_minor += due_minor;
    write(tx, payment);
    let kind = payment_transaction::Kind::Capture;
    Ok(Some(by_word(
        tx,
        payment,
        kind,
        due_minor,
        None,
        Some(shipment_id),
    )))
}

/// Reserves so much of a capture, and intends its refund; none if not that much is left of it.
pub async fn refund(
    tx: &Tx,
    payment: &mut payment::Model,
    captured: &payment_transaction::Model,
    amount: i64,
) -> Result<Option<Effect>, DbErr> {
    tx.flush().await?;
    let gone = authorizations::drawn(tx, payment.id, captured.id).await?;
    if amount <= 0 || amount > captured.amount_minor - gone {
        return Ok(None);
    }
    payment.refund_pending_minor += amount;
    write(tx, payment);
    let kind = payment_transaction::Kind::Refund;
    let (source, shipment) = (Source::of(captured, 0), captured.shipment_id);
    Ok(Some(draw(
        tx, payment, kind, amount, captured, source, shipment,
    )))
}

/// Counts so much of a capture as given back where no gateway is asked: on account, or settled
/// elsewhere. None if not that much is left of it.
pub async fn refund_settled(
    tx: &Tx,
    payment: &mut payment::Model,
    captured: &payment_transaction::Model,
    amount: i64,
) -> Result<Option<TransactionId>, DbErr> {
    tx.flush().await?;
    let gone = authorizations::drawn(tx, payment.id, captured.id).await?;
    if amount <= 0 || amount > captured.amount_minor - gone {
        return Ok(None);
    }
    payment.refunded_minor += amount;
    write(tx, payment);
    let kind = payment_transaction::Kind::Refund;
    let (source, shipment) = (Some(captured.id), captured.shipment_id);
    Ok(Some(by_word(tx, payment, kind, amount, source, shipment)))
}

/// The captures of a payment that succeeded, oldest first, each with what is left of it to give
/// back, in minor units.
pub async fn refundable(
    tx: &Tx,
    payment: &payment::Model,
) -> Result<Vec<(payment_transaction::Model, i64)>, DbErr> {
    tx.flush().await?;
    use payment_transaction::{Column, Entity, Kind, State};
    let captures = Entity::find()
        .filter(Column::PaymentId.eq(payment.id))
        .filter(Column::Kind.eq(Kind::Capture))
        .filter(Column::State.eq(State::Succeeded))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id)
        .all(tx.db())
        .await?;
    let mut all = Vec::with_capacity(captures.len());
    for capture in captures {
        let gone = authorizations::drawn(tx, payment.id, capture.id).await?;
        let left = capture.amount_minor - gone;
        all.push((capture, left));
    }
    Ok(all)
}

/// Intends an effect that draws on an earlier one.
fn draw(
    tx: &Tx,
    payment: &payment::Model,
    kind: payment_transaction::Kind,
    amount: i64,
    from: &payment_transaction::Model,
    source: Source,
    shipment_id: Option<ShipmentId>,
) -> Effect {
    let instrument = from.instrument.clone();
    intend(
        tx,
        payment,
        kind,
        amount,
        instrument,
        Some(source),
        shipment_id,
    )
}

/// Intends an effect: writes its row as sent, since the call follows at once.
fn intend(
    tx: &Tx,
    payment: &payment::Model,
    kind: payment_transaction::Kind,
    amount: i64,
    instrument: Option<String>,
    source: Option<Source>,
    shipment_id: Option<ShipmentId>,
) -> Effect {
    let row = payment_transaction::Model {
        instrument: instrument.clone(),
        attempts: 1,
        first_sent_at: Some(tx.now),
        next_check_at: Some(tx.now + Duration::seconds(30)),
        shipment_id,
        source_id: source.as_ref().map(|source| source.id),
        ..new_transaction(tx, payment, kind, amount, payment_transaction::State::Sent)
    };
    let id = row.id;
    insert(tx, row);
    Effect {
        id,
        order_id: payment.order_id,
        gateway: payment.gateway.clone(),
        kind,
        amount: Money::new(amount, payment.currency),
        instrument,
        attempts: 1,
        first_sent_at: Some(tx.now),
        shipment_id,
        source,
    }
}

/// Writes an effect that succeeded without a call.
fn by_word(
    tx: &Tx,
    payment: &payment::Model,
    kind: payment_transaction::Kind,
    amount: i64,
    source_id: Option<TransactionId>,
    shipment_id: Option<ShipmentId>,
) -> TransactionId {
    let row = payment_transaction::Model {
        shipment_id,
        source_id,
        ..new_transaction(
            tx,
            payment,
            kind,
            amount,
            payment_transaction::State::Succeeded,
        )
    };
    let id = row.id;
    insert(tx, row);
    id
}

fn new_transaction(
    tx: &Tx,
    payment: &payment::Model,
    kind: payment_transaction::Kind,
    amount_minor: i64,
    state: payment_transaction::State,
) -> payment_transaction::Model {
    payment_transaction::Model {
        id: tx.id(),
        payment_id: payment.id,
        order_id: payment.order_id,
        kind,
        amount_minor,
        state,
        instrument: None,
        attempts: 0,
        first_sent_at: None,
        next_check_at: None,
        gateway_reference: None,
        decline_code: None,
        created_at: tx.now,
        updated_at: tx.now,
        shipment_id: None,
        source_id: None,
        expires_at: None,
    }
}

fn insert(tx: &Tx, row: payment_transaction::Model) {
    let row: payment_transaction::ActiveModel = row.into();
    tx.defer_rows(vec![row], |insert| insert);
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
    let mut open = vec![State::Ready, State::Sent, State::Unknown];
    let is_late = effect.kind == Kind::Authorization && matches!(answer, Answer::Succeeded { .. });
    if is_late {
        // The gateway did it after all: what nobody waits for any more goes back.
        open.push(State::NotExecuted);
    }
    let update = Entity::update_many()
        .col_expr(Column::UpdatedAt, Expr::value(tx.now))
        .col_expr(Column::Attempts, Expr::value(effect.attempts))
        .filter(Column::Id.eq(effect.id))
        .filter(Column::State.is_in(open));
    let settled = match answer {
        Answer::Succeeded {
            reference,
            expires_at,
            rest_released,
        } => {
            let until = (effect.kind == Kind::Authorization)
                .then(|| expires_at.unwrap_or(tx.now + Duration::days(AUTHORIZATION_DAYS)));
            let changed = update
                .col_expr(Column::State, Expr::value(State::Succeeded))
                .col_expr(Column::ExpiresAt, Expr::value(until))
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
                    payment.authorized_minor += effect.amount.minor;
                    payment.voided = false;
                    // Of several authorisations, the first to run out decides.
                    payment.authorization_expires_at = payment
                        .authorization_expires_at
                        .filter(|_| open_minor(payment) > effect.amount.minor)
                        .into_iter()
                        .chain(until)
                        .min();
                }
                Kind::Void => {
                    lower(payment, effect.amount.minor);
                    expire_with(payment, &authorizations::open_ones(tx, payment.id).await?);
                }
                Kind::Capture => {
                    payment.capture_pending_minor -= effect.amount.minor;
                    payment.captured_minor += effect.amount.minor;
                    let mut open = authorizations::open_ones(tx, payment.id).await?;
                    if *rest_released {
                        let source = effect.source.as_ref().map(|source| source.id);
                        let is_source = |one: &mut Authorization| Some(one.row.id) == source;
                        for rest in open.extract_if(.., is_source) {
                            let from = Some(rest.row.id);
                            by_word(tx, payment, Kind::Void, rest.open_minor, from, None);
                            lower(payment, rest.open_minor);
                        }
                    }
                    expire_with(payment, &open);
                }
                Kind::Refund => {
                    payment.refund_pending_minor -= effect.amount.minor;
                    payment.refunded_minor += effect.amount.minor;
                }
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
                return Ok(Settled::Nothing);
            }
            let_go(tx, effect, payment);
            Settled::Declined
        }
        Answer::NotExecuted => {
            let changed = update
                .col_expr(Column::State, Expr::value(State::NotExecuted))
                .col_expr(Column::NextCheckAt, Expr::value(None::<DateTime<Utc>>))
                .exec(tx.db())
                .await?
                .rows_affected;
            if changed == 0 {
                return Ok(Settled::Nothing);
            }
            let_go(tx, effect, payment);
            Settled::NotExecuted
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
        payment.voided = payment.captured_minor == 0;
        payment.authorization_expires_at = None;
    }
}

/// What is left of a payment runs out with the first of its authorisations.
fn expire_with(payment: &mut payment::Model, open: &[Authorization]) {
    payment.authorization_expires_at = payment
        .authorization_expires_at
        .and_then(|_| open.iter().filter_map(|one| one.row.expires_at).min());
}

/// Lets go of what was reserved for an effect that came to nothing.
fn let_go(tx: &Tx, effect: &Effect, payment: &mut payment::Model) {
    use payment_transaction::Kind;
    match effect.kind {
        Kind::Authorization | Kind::Void => return,
        Kind::Capture => payment.capture_pending_minor -= effect.amount.minor,
        Kind::Refund => payment.refund_pending_minor -= effect.amount.minor,
    }
    write(tx, payment);
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
            .col_expr(
                Column::CapturePendingMinor,
                Expr::value(payment.capture_pending_minor),
            )
            .col_expr(Column::CapturedMinor, Expr::value(payment.captured_minor))
            .col_expr(
                Column::RefundPendingMinor,
                Expr::value(payment.refund_pending_minor),
            )
            .col_expr(Column::RefundedMinor, Expr::value(payment.refunded_minor))
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

/// Gives back so much of what is authorised, of which a person says that the gateway has given it
/// back: effects that succeeded without a call, each with its amount.
pub async fn void_by_word(
    tx: &Tx,
    payment: &mut payment::Model,
    amount: i64,
) -> Result<Vec<(TransactionId, i64)>, DbErr> {
    let mut left = amount;
    let mut voided = Vec::new();
    for from in authorizations::open_ones(tx, payment.id).await? {
        let goes = std::cmp::min(left, from.open_minor);
        if goes > 0 {
            let kind = payment_transaction::Kind::Void;
            voided.push((
                by_word(tx, payment, kind, goes, Some(from.row.id), None),
                goes,
            ));
            lower(payment, goes);
            left -= goes;
        }
    }
    write(tx, payment);
    Ok(voided)
}

/// Gives back an authorisation that no gateway holds: on account, or settled elsewhere.
pub fn void_settled(tx: &Tx, payment: &mut payment::Model) {
    payment.authorized_minor = payment.captured_minor + payment.capture_pending_minor;
    payment.voided = payment.authorized_minor == 0;
    payment.authorization_expires_at = None;
    write(tx, payment);
}

/// The effects that are due to be asked about, oldest first, each with whether it is still wanted:
/// nobody wants the authorisation of an order that has ended.
pub async fn due(
    db: &impl sea_orm::ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<(Effect, bool)>, DbErr> {
    use payment_transaction::{Column, Entity, State};
    use sea_orm::QueryOrder;
    let rows = Entity::find()
        .filter(Column::State.is_in([State::Ready, State::Sent, State::Unknown]))
        .filter(Column::NextCheckAt.lte(now))
        .order_by_asc(Column::NextCheckAt)
        .limit(100)
        .all(db)
        .await?;
    effects_of(db, &rows).await
}

/// The effects without a definite answer that a gateway's message is about: the one that it names,
/// and those that draw on what it names. An authorisation that it names and that was given up is
/// asked about as well, and never asked for again.
pub async fn about(
    db: &impl sea_orm::ConnectionTrait,
    notice: &gateway::Notice,
) -> Result<Vec<(Effect, bool)>, DbErr> {
    use payment_transaction::{Column, Entity, State};
    let named = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::GatewayReference.eq(notice.reference.clone().unwrap_or_default()))
        .into_query();
    use sea_orm::Condition;
    let open = Column::State.is_in([State::Ready, State::Sent, State::Unknown]);
    let given_up = Condition::all()
        .add(Column::State.eq(State::NotExecuted))
        .add(Column::Kind.eq(payment_transaction::Kind::Authorization));
    let named_itself = Condition::all()
        .add(Column::Id.is_in(notice.transaction))
        .add(Condition::any().add(open.clone()).add(given_up));
    let drawing = Condition::all()
        .add(open)
        .add(Column::SourceId.in_subquery(named));
    let rows = Entity::find()
        .filter(Condition::any().add(named_itself).add(drawing))
        .limit(100)
        .all(db)
        .await?;
    effects_of(db, &rows).await
}

/// Effects from their rows, each with whether it is still wanted.
async fn effects_of(
    db: &impl sea_orm::ConnectionTrait,
    rows: &[payment_transaction::Model],
) -> Result<Vec<(Effect, bool)>, DbErr> {
    use payment_transaction::{Column, Entity, Kind, State};
    let orders = order::Entity::find()
        .find_both_related(payment::Entity)
        .filter(order::Column::Id.is_in(rows.iter().map(|row| row.order_id)))
        .all(db)
        .await?;
    let ids: Vec<TransactionId> = rows.iter().filter_map(|row| row.source_id).collect();
    let sources = Entity::find()
        .filter(Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    let voids = Entity::find()
        .filter(Column::SourceId.is_in(ids))
        .filter(Column::Kind.eq(Kind::Void))
        .filter(Column::State.is_not_in([State::Declined, State::NotExecuted]))
        .all(db)
        .await?;
    let voided = |id| -> i64 {
        let own = voids.iter().filter(|void| void.source_id == Some(id));
        own.map(|void| void.amount_minor).sum()
    };
    Ok(rows
        .iter()
        .filter_map(|row| {
            let (order, payment) = orders.iter().find(|(order, _)| order.id == row.order_id)?;
            let source = sources
                .iter()
                .find(|source| Some(source.id) == row.source_id);
            let source = source.map(|source| Source::of(source, voided(source.id)));
            let wanted = row.kind != Kind::Authorization
                || order.closed_at.is_none() && row.state != State::NotExecuted;
            Some((Effect::from_row(row, payment, source), wanted))
        })
        .collect())
}

impl Effect {
    /// An effect from its row, its payment and what it draws on.
    pub fn from_row(
        row: &payment_transaction::Model,
        payment: &payment::Model,
        source: Option<Source>,
    ) -> Effect {
        Effect {
            id: row.id,
            order_id: row.order_id,
            gateway: payment.gateway.clone(),
            kind: row.kind,
            amount: Money::new(row.amount_minor, payment.currency),
            instrument: row.instrument.clone(),
            attempts: row.attempts + 1,
            first_sent_at: row.first_sent_at,
            shipment_id: row.shipment_id,
            source,
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

/// What is set aside counts down to another moment; none = it has run out, and no longer does.
pub fn expect_expiry(tx: &Tx, payment: &mut payment::Model, until: Option<DateTime<Utc>>) {
    payment.authorization_expires_at = until;
    write(tx, payment);
}

/// The orders with an effect that a gateway has given no definite answer for since a moment, and
/// that nobody was told of.
pub async fn unanswered(
    db: &impl sea_orm::ConnectionTrait,
    since: DateTime<Utc>,
    told: &str,
) -> Result<Vec<(OrderId, TransactionId)>, DbErr> {
    use entity::order_exception;
    use payment_transaction::{Column, Entity, State};
    use sea_orm::QueryOrder;
    use sea_orm::sea_query::{ExprTrait, Query};
    let told = Query::select()
        .expr(Expr::val(1))
        .from(order_exception::Entity)
        .and_where(
            Expr::col((order_exception::Entity, order_exception::Column::OrderId))
                .equals((Entity, Column::OrderId)),
        )
        .and_where(order_exception::Column::Code.eq(told))
        .and_where(order_exception::Column::ResolvedAt.is_null())
        .to_owned();
    Entity::find()
        .select_only()
        .columns([Column::OrderId, Column::Id])
        .filter(Column::State.is_in([State::Ready, State::Sent, State::Unknown]))
        .filter(Column::FirstSentAt.lte(since))
        .filter(Expr::exists(told).not())
        .order_by_asc(Column::FirstSentAt)
        .limit(100)
        .into_tuple()
        .all(db)
        .await
}
