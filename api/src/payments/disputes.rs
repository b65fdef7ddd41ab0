//! What customers take back through their banks, as gateways say it.

use chrono::{DateTime, Duration, Utc};
use entity::dispute::{Column, Entity, Model, State};
use entity::{Money, dispute, payment, payment_transaction};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::gateway::{DISPUTED_AFTER_SECS, Dispute};
use crate::tx::Tx;

/// How many captures the sandbox is asked about in a round.
const ROUND: u64 = 100;

/// The capture that a gateway calls by a name.
pub async fn captured(
    db: &impl ConnectionTrait,
    gateway: &str,
    reference: &str,
) -> Result<Option<payment_transaction::Model>, DbErr> {
    use payment_transaction::{Column, Entity, Kind, State};
    let payments = Query::select()
        .column(payment::Column::Id)
        .from(payment::Entity)
        .and_where(payment::Column::Gateway.eq(gateway))
        .to_owned();
    Entity::find()
        .filter(Column::GatewayReference.eq(reference))
        .filter(Column::Kind.eq(Kind::Capture))
        .filter(Column::State.eq(State::Succeeded))
        .filter(Column::PaymentId.in_subquery(payments))
        .order_by_asc(Column::Id)
        .one(db)
        .await
}

/// A dispute by the gateway's name for it.
pub async fn find(tx: &Tx, gateway: &str, reference: &str) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::Gateway.eq(gateway))
        .filter(Column::Reference.eq(reference))
        .one(tx.db())
        .await
}

/// Writes that a dispute has begun. Its order is locked; a second one of the name is refused by the
/// database.
pub async fn open(
    tx: &Tx,
    gateway: &str,
    capture: &payment_transaction::Model,
    said: &Dispute,
) -> Result<Model, DbErr> {
    let row = Model {
        id: tx.id(),
        order_id: capture.order_id,
        transaction_id: capture.id,
        gateway: gateway.to_owned(),
        reference: said.reference.clone(),
        amount_minor: said.amount.minor,
        currency: said.amount.currency,
        reason: said.reason.clone(),
        state: State::Open,
        opened_at: tx.now,
        closed_at: None,
    };
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.db())
        .await?;
    Ok(row)
}

/// Writes how a dispute has ended, once; says whether it was open.
pub async fn close(tx: &Tx, row: &Model, to: State) -> Result<bool, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(to))
        .col_expr(Column::ClosedAt, Expr::value(Some(tx.now)))
        .filter(Column::Id.eq(row.id))
        .filter(Column::State.eq(State::Open))
        .exec(tx.db())
        .await?;
    Ok(changed.rows_affected > 0)
}

/// The captures by test cards that are disputed, of which not all was heard yet.
pub async fn of_test_cards(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<(payment_transaction::Model, payment::Model)>, DbErr> {
    let heard = Query::select()
        .expr(Expr::val(1))
        .from(dispute::Entity)
        .and_where(
            Expr::col((dispute::Entity, Column::TransactionId))
                .equals((payment_transaction::Entity, payment_transaction::Column::Id)),
        )
        .cond_where(
            sea_orm::Condition::any()
                .add(Column::State.ne(State::Open))
                .add(payment_transaction::Column::Instrument.eq("tok_chargeback")),
        )
        .to_owned();
    let rows = payment_transaction::Entity::find()
        // In the words of its index, which a bound value would hide.
        .filter(Expr::cust(
            "payment_transaction.kind = 'CAPTURE' AND payment_transaction.instrument IN \
             ('tok_chargeback', 'tok_chargeback_won', 'tok_chargeback_lost')",
        ))
        .filter(payment_transaction::Column::State.eq(payment_transaction::State::Succeeded))
        .filter(
            payment_transaction::Column::UpdatedAt
                .lte(now - Duration::seconds(DISPUTED_AFTER_SECS)),
        )
        .filter(Expr::exists(heard).not())
        .order_by_asc(payment_transaction::Column::UpdatedAt)
        .limit(ROUND)
        .all(db)
        .await?;
    let payments = payment::Entity::find()
        .filter(payment::Column::Id.is_in(rows.iter().map(|row| row.payment_id)))
        .filter(payment::Column::Gateway.eq("sandbox"))
        .all(db)
        .await?;
    let with_payment = |row: payment_transaction::Model| {
        let own = payments.iter().find(|payment| payment.id == row.payment_id);
        own.cloned().map(|payment| (row, payment))
    };
    Ok(rows.into_iter().filter_map(with_payment).collect())
}

/// How much a dispute is about.
pub fn amount(row: &Model) -> Money {
    Money::new(row.amount_minor, row.currency)
}
