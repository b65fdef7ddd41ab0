//! What single authorisations still have: what was set aside, less what was captured from it or
//! given back, or is about to be.

use chrono::{DateTime, Utc};
use entity::payment_transaction::{Column, Entity, Kind, State};
use entity::{PaymentId, TransactionId, payment_transaction};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};

use crate::tx::Tx;

/// An authorisation of which something is left.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Its effect, which succeeded.
    pub row: payment_transaction::Model,
    /// What is left of it, in minor units; above 0.
    pub open_minor: i64,
    /// What of it has gone back, or is about to, in minor units.
    pub voided_minor: i64,
}

impl Authorization {
    /// Whether it can no longer be captured from.
    pub fn has_run_out(&self, now: DateTime<Utc>) -> bool {
        self.row.expires_at.is_some_and(|until| until <= now)
    }
}

/// The authorisations of a payment of which something is left, those that run out first at the
/// front.
pub async fn open_ones(tx: &Tx, payment: PaymentId) -> Result<Vec<Authorization>, DbErr> {
    let rows = drawing(tx, payment).await?;
    let is_authorization = |row: &&payment_transaction::Model| {
        row.kind == Kind::Authorization && row.state == State::Succeeded
    };
    let mut open: Vec<Authorization> = rows
        .iter()
        .filter(is_authorization)
        .map(|row| Authorization {
            row: row.clone(),
            open_minor: row.amount_minor - sum(&rows, row.id, |_| true),
            voided_minor: sum(&rows, row.id, |kind| kind == Kind::Void),
        })
        .filter(|one| one.open_minor > 0)
        .collect();
    open.sort_by_key(|one| (one.row.expires_at, one.row.created_at, one.row.id));
    Ok(open)
}

/// That which an amount is best captured from: one that has not run out and has all of it, if there
/// is one; otherwise the first that has not, and at last any.
pub fn best(open: &[Authorization], amount: i64, now: DateTime<Utc>) -> Option<&Authorization> {
    let live = || open.iter().filter(|one| !one.has_run_out(now));
    live()
        .find(|one| one.open_minor >= amount)
        .or_else(|| live().next())
        .or_else(|| open.first())
}

/// What was taken of an effect, or is about to be, in minor units.
pub async fn drawn(tx: &Tx, payment: PaymentId, source: TransactionId) -> Result<i64, DbErr> {
    Ok(sum(&drawing(tx, payment).await?, source, |_| true))
}

fn sum(
    rows: &[payment_transaction::Model],
    source: TransactionId,
    counts: impl Fn(Kind) -> bool,
) -> i64 {
    rows.iter()
        .filter(|row| row.source_id == Some(source) && counts(row.kind))
        .map(|row| row.amount_minor)
        .sum()
}

/// The effects of a payment that count: those that succeeded, and those that may.
async fn drawing(tx: &Tx, payment: PaymentId) -> Result<Vec<payment_transaction::Model>, DbErr> {
    Entity::find()
        .filter(Column::PaymentId.eq(payment))
        .filter(Column::State.is_in([State::Ready, State::Sent, State::Unknown, State::Succeeded]))
        .all(tx.db())
        .await
}
