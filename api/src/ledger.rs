//! The money ledger: double entry, append-only. A posting names the account that it is taken to and
//! the one that it comes from, so every posting is in balance by its form, and so is any sum of
//! them. What is posted for one document is posted once: the database keeps it unique.
//!
//! The chart is small. Revenue is what is charged after discounts and without tax, by item and by
//! delivery; a credit note lowers it again. Between an invoice and its money stands RECEIVABLE, and
//! between what a gateway took and what it pays out stands CASH_IN_TRANSIT.

use chrono::{DateTime, Utc};
use entity::ledger_entry::{Account, Column, Document, Entity};
use entity::{ChannelId, Currency, OrderId, TransactionId, ledger_entry, order, payment};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Iterable, QueryFilter,
    QuerySelect,
};
use uuid::Uuid;

use crate::tx::Tx;

/// What is posted for one document.
#[derive(Clone, Copy, Debug)]
pub struct Posting {
    /// The order whose money it is, and its channel; none = it is of no order that we know.
    pub of: Option<(OrderId, ChannelId)>,
    /// The currency.
    pub currency: Currency,
    /// What it is posted for.
    pub document: Document,
    /// Which.
    pub document_id: Uuid,
}

impl Posting {
    /// What is posted for a document of an order.
    pub fn of(order: &order::Model, document: Document, document_id: Uuid) -> Posting {
        Posting {
            of: Some((order.id, order.channel_id)),
            currency: order.currency,
            document,
            document_id,
        }
    }
}

/// Posts amounts, each with the account that it is taken to and the one that it comes from. Nothing
/// is written for an amount of zero; one below zero goes the other way.
pub fn post(tx: &Tx, of: Posting, amounts: &[(Account, Account, i64)]) {
    let rows = amounts.iter().filter(|(_, _, minor)| *minor != 0);
    let rows = rows.map(|(debit, credit, minor)| {
        let (debit, credit) = match *minor > 0 {
            true => (*debit, *credit),
            false => (*credit, *debit),
        };
        ledger_entry::Model {
            id: tx.id(),
            document: of.document,
            document_id: of.document_id,
            order_id: of.of.map(|(order, _)| order),
            channel_id: of.of.map(|(_, channel)| channel),
            debit,
            credit,
            currency: of.currency,
            amount_minor: minor.abs(),
            posted_at: tx.now,
        }
        .into_active_model()
    });
    tx.defer_rows(rows.collect(), |insert| insert);
}

/// Whether money moves when a payment is captured: what is put on a customer's account is paid
/// later.
pub fn moves_money(gateway: &str) -> bool {
    gateway != "account"
}

/// Posts money that was taken for an order.
pub fn post_capture(
    tx: &Tx,
    order: &order::Model,
    payment: &payment::Model,
    id: TransactionId,
    amount_minor: i64,
) {
    post_money(tx, order, payment, Document::Capture, id, amount_minor);
}

/// Posts money that was given back.
pub fn post_refund(
    tx: &Tx,
    order: &order::Model,
    payment: &payment::Model,
    id: TransactionId,
    amount_minor: i64,
) {
    post_money(tx, order, payment, Document::Refund, id, -amount_minor);
}

fn post_money(
    tx: &Tx,
    order: &order::Model,
    payment: &payment::Model,
    document: Document,
    id: TransactionId,
    minor: i64,
) {
    if !moves_money(&payment.gateway) {
        return;
    }
    let of = Posting::of(order, document, id.0);
    post(
        tx,
        of,
        &[(Account::CashInTransit, Account::Receivable, minor)],
    );
}

/// What an account has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// What was taken to it, in minor units.
    pub debit_minor: i64,
    /// What came from it, in minor units.
    pub credit_minor: i64,
}

/// What every account has come to in a currency by a moment, in the order of the chart; of some
/// channels, or of all.
pub async fn trial_balance(
    db: &impl ConnectionTrait,
    currency: Currency,
    at: DateTime<Utc>,
    channels: Option<Vec<ChannelId>>,
) -> Result<Vec<Balance>, DbErr> {
    let side = async |side: Column| -> Result<Vec<(Account, i64)>, DbErr> {
        // The sum of a column of 64 bits is a decimal on PostgreSQL.
        let sum = Expr::col(Column::AmountMinor).sum().cast_as("BIGINT");
        let mut rows = Entity::find()
            .select_only()
            .column(side)
            .expr_as(sum, "minor")
            .filter(Column::Currency.eq(currency))
            .filter(Column::PostedAt.lte(at))
            .group_by(side);
        if let Some(channels) = &channels {
            rows = rows.filter(Column::ChannelId.is_in(channels.iter().copied()));
        }
        rows.into_tuple().all(db).await
    };
    let (debits, credits) = (side(Column::Debit).await?, side(Column::Credit).await?);
    let of = |side: &[(Account, i64)], account: Account| -> i64 {
        let own = side.iter().find(|(one, _)| *one == account);
        own.map_or(0, |(_, minor)| *minor)
    };
    let balances = Account::iter().map(|account| Balance {
        account,
        debit_minor: of(&debits, account),
        credit_minor: of(&credits, account),
    });
    Ok(balances.collect())
}
