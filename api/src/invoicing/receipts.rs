//! What customers pay on account: posted from what they owe to the bank, for the oldest invoices
//! first, and never more than is owed. What is paid may be owed again: it frees their credit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::invoice::Payment;
use entity::ledger_entry::{Account, Document};
use entity::{
    ChannelId, CustomerId, CustomerPaymentId, InvoiceId, Money, customer, customer_payment,
    invoice, invoice_standing, payment_allocation,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use serde_json::json;

use crate::checks::Checks;
use crate::events::{Entry, Event};
use crate::failure::{Code, Failure, Problem};
use crate::ledger::{self, Posting};
use crate::tx::Tx;

/// What [`record`] needs.
#[derive(Clone, Debug)]
pub struct Record {
    /// What is paid.
    pub of: Owed,
    /// Only invoices of these channels; none = of all.
    pub channels: Option<BTreeSet<ChannelId>>,
    /// How much came.
    pub amount: Money,
    /// What the bank calls it.
    pub reference: String,
    /// When it came; none = now.
    pub received_at: Option<DateTime<Utc>>,
    /// Who records it.
    pub by: String,
}

/// What is paid.
#[derive(Clone, Copy, Debug)]
pub enum Owed {
    /// Whatever a customer owes, the oldest first.
    By(CustomerId),
    /// One invoice.
    Of(InvoiceId),
}

/// Records money once by its reference, and says which payment it is and whether it was known. The
/// customer's row is locked first, so that of two payments the later one sees what the first left.
pub async fn record(tx: &Tx, cmd: &Record) -> Result<(CustomerPaymentId, bool), Failure> {
    let mut checks = Checks::new();
    let reference = checks.name("input.reference", &cmd.reference);
    let received_at = cmd.received_at.unwrap_or(tx.now);
    checks.hold(
        cmd.amount.minor > 0,
        Code::AmountInvalid,
        "input.amount",
        "a payment is above zero",
    );
    checks.hold(
        received_at <= tx.now,
        Code::InvalidInput,
        "input.receivedAt",
        "what is recorded has come",
    );
    checks.done()?;
    let (customer, only) = match cmd.of {
        Owed::By(customer) => (customer, None),
        Owed::Of(invoice) => (debtor(tx, cmd, invoice).await?, Some(invoice)),
    };
    let missing = || Problem::not_found("Customer").at("input.customerId");
    if !lock(tx, customer).await? {
        return Err(missing().into());
    }

    if let Some(known) = known(tx, customer, &reference).await? {
        let same = known.amount_minor == cmd.amount.minor
            && known.currency == cmd.amount.currency
            && pays(tx, known.id, only).await?;
        if same {
            return Ok((known.id, true));
        }
        let message = "the reference belongs to another payment of the customer";
        let problem = Problem::new(Code::PaymentReferenceTaken, message);
        return Err(problem.at("input.reference").into());
    }

    let open = open(tx, customer, only, cmd).await?;
    let owed: i64 = open.iter().map(|(_, standing)| standing.open_minor()).sum();
    if cmd.amount.minor > owed {
        let message = "more came than is owed";
        return Err(Problem::new(Code::PaymentExceedsOwed, message)
            .at("input.amount")
            .with(json!({ "owedMinor": owed, "paidMinor": cmd.amount.minor }))
            .into());
    }
    let payment = customer_payment::Model {
        id: tx.id(),
        customer_id: customer,
        currency: cmd.amount.currency,
        amount_minor: cmd.amount.minor,
        reference,
        received_at,
        recorded_at: tx.now,
        recorded_by: cmd.by.clone(),
    };
    let id = payment.id;
    tx.defer_rows(vec![payment.into_active_model()], |insert| insert);
    free_credit(tx, customer, cmd.amount.minor).await?;
    let mut left = cmd.amount.minor;
    for (invoice, standing) in open {
        let part = std::cmp::min(left, standing.open_minor());
        if part == 0 {
            break;
        }
        left -= part;
        pay(tx, id, &invoice, &standing, part);
    }
    Ok((id, false))
}

/// Who owes an invoice.
async fn debtor(tx: &Tx, cmd: &Record, id: InvoiceId) -> Result<CustomerId, Failure> {
    let missing = || Problem::not_found("Invoice").at("input.invoiceId");
    let row = invoice::Entity::find_by_id(id).one(tx.db()).await?;
    let row = row.filter(|row| sees(cmd, row)).ok_or_else(missing)?;
    if row.currency != cmd.amount.currency {
        let message = "the invoice is in another currency";
        let problem = Problem::new(Code::CurrencyMismatch, message);
        return Err(problem.at("input.amount.currency").into());
    }
    let standing = invoice_standing::Entity::find_by_id(id).one(tx.db());
    let debtor = standing.await?.and_then(|standing| standing.customer_id);
    Ok(debtor.ok_or_else(|| {
        let message = "only invoices on account are paid like this";
        Problem::new(Code::InvalidInput, message).at("input.invoiceId")
    })?)
}

fn sees(cmd: &Record, row: &invoice::Model) -> bool {
    let channels = cmd.channels.as_ref();
    channels.is_none_or(|channels| channels.contains(&row.channel_id))
}

async fn known(
    tx: &Tx,
    customer: CustomerId,
    reference: &str,
) -> Result<Option<customer_payment::Model>, Failure> {
    use customer_payment::{Column, Entity};
    let row = Entity::find()
        .filter(Column::CustomerId.eq(customer))
        .filter(Column::Reference.eq(reference));
    Ok(row.one(tx.db()).await?)
}

/// Whether a payment is for the one invoice that is named, if one is.
async fn pays(
    tx: &Tx,
    payment: CustomerPaymentId,
    only: Option<InvoiceId>,
) -> Result<bool, Failure> {
    use payment_allocation::{Column, Entity};
    let Some(only) = only else {
        return Ok(true);
    };
    let rows = Entity::find().filter(Column::PaymentId.eq(payment));
    let rows = rows.all(tx.db()).await?;
    Ok(rows.iter().all(|row| row.invoice_id == only))
}

/// The invoices of which something is owed, those that are due first at the front, locked.
async fn open(
    tx: &Tx,
    customer: CustomerId,
    only: Option<InvoiceId>,
    cmd: &Record,
) -> Result<Vec<(invoice::Model, invoice_standing::Model)>, Failure> {
    use invoice_standing::{Column, Entity};
    let mut rows = Entity::find()
        .filter(Column::CustomerId.eq(customer))
        .filter(Column::SettledAt.is_null())
        .order_by_asc(Column::InvoiceId);
    if let Some(only) = only {
        rows = rows.filter(Column::InvoiceId.eq(only));
    }
    if tx.locks_rows() {
        rows = rows.lock_exclusive();
    }
    let standings = rows.all(tx.db()).await?.into_iter();
    let mut standings: BTreeMap<InvoiceId, invoice_standing::Model> =
        standings.map(|row| (row.invoice_id, row)).collect();
    let invoices = invoice::Entity::find()
        .filter(invoice::Column::Id.is_in(standings.keys().copied()))
        .filter(invoice::Column::Currency.eq(cmd.amount.currency))
        .order_by_asc(invoice::Column::DueOn)
        .order_by_asc(invoice::Column::IssuedAt)
        .order_by_asc(invoice::Column::Id)
        .all(tx.db())
        .await?;
    let open = invoices
        .into_iter()
        .filter(|row| sees(cmd, row))
        .filter_map(|row| {
            let standing = standings.remove(&row.id)?;
            Some((row, standing))
        })
        // What was taken back after it was paid is owed to the customer, and pays nothing here.
        .filter(|(_, standing)| standing.open_minor() > 0);
    Ok(open.collect())
}

/// Gives a customer, whose row is locked, so much of its credit back.
pub(super) async fn free_credit(tx: &Tx, customer: CustomerId, minor: i64) -> Result<(), DbErr> {
    use customer::{Column, Entity};
    let used = Expr::col(Column::CreditUsedMinor).sub(minor);
    let update = Entity::update_many().col_expr(Column::CreditUsedMinor, used);
    update.filter(Column::Id.eq(customer)).exec(tx.db()).await?;
    Ok(())
}

/// Locks a customer's row, and says whether there is one.
async fn lock(tx: &Tx, id: CustomerId) -> Result<bool, DbErr> {
    let mut row = customer::Entity::find_by_id(id);
    if tx.locks_rows() {
        row = row.lock_exclusive();
    }
    Ok(row.one(tx.db()).await?.is_some())
}

/// Locks the customer who owes an invoice, before what the invoice stands at; none if it is not on
/// account.
pub(super) async fn lock_debtor(
    tx: &Tx,
    invoice: &invoice::Model,
) -> Result<Option<CustomerId>, DbErr> {
    if invoice.payment != Payment::Account {
        return Ok(None);
    }
    let standing = invoice_standing::Entity::find_by_id(invoice.id).one(tx.db());
    let debtor = standing.await?.and_then(|standing| standing.customer_id);
    if let Some(debtor) = debtor {
        lock(tx, debtor).await?;
    }
    Ok(debtor)
}

/// Writes that a part of a payment pays an invoice, which is locked.
fn pay(
    tx: &Tx,
    payment: CustomerPaymentId,
    invoice: &invoice::Model,
    standing: &invoice_standing::Model,
    part: i64,
) {
    let row = payment_allocation::Model {
        id: tx.id(),
        payment_id: payment,
        invoice_id: invoice.id,
        amount_minor: part,
        recorded_at: tx.now,
    };
    use invoice_standing::{Column, Entity};
    tx.defer(
        Entity::update_many()
            .col_expr(Column::PaidMinor, Expr::col(Column::PaidMinor).add(part))
            .col_expr(
                Column::SettledAt,
                Expr::value(standing.settled(part, tx.now)),
            )
            .filter(Column::InvoiceId.eq(invoice.id))
            .into_query(),
    );
    let of = Posting {
        of: Some((invoice.order_id, invoice.channel_id)),
        currency: invoice.currency,
        document: Document::Payment,
        document_id: row.id.0,
    };
    ledger::post(tx, of, &[(Account::Bank, Account::Receivable, part)]);
    tx.emit(Entry {
        aggregate_type: "payment_allocation",
        aggregate_id: row.id.to_string(),
        version: 1,
        channel_id: Some(invoice.channel_id),
        order_id: Some(invoice.order_id),
        moved: None,
        event: Event::InvoicePaid {
            number: invoice.name.clone(),
            invoice_id: invoice.id,
            payment_id: payment.0,
            amount: part,
            left: standing.open_minor() - part,
        },
    });
    tx.defer_rows(vec![row.into_active_model()], |insert| insert);
}
