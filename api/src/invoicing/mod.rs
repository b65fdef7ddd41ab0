//! Invoices: what was taken for a shipment, numbered without gaps, never changed, corrected by
//! credit notes alone; and their postings in the ledger.
//!
//! An invoice is *issued* in the transaction that records that all of what a shipment owes was
//! captured, so that invoices and captures never disagree. Its number is the last thing that the
//! transaction takes: the row of the series is locked from there to the commit, over one round trip
//! that writes everything else; whoever rolls back has taken none. It is *printed* afterwards, from
//! its own rows alone ([`paper`]), and the message that brings it is owed in the transaction that
//! stores what was printed.
//!
//! A channel in which nobody sells ([`sellers`]) issues none. What was captured there meanwhile is
//! invoiced by the workers as soon as somebody does.
//!
//! What is on account is paid later ([`receipts`]), the oldest invoices first.
//!
//! # Lock order
//! Behind all others: what an invoice stands at, then the series.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use entity::invoice::{Kind, Payment};
use entity::ledger_entry::{Account, Document};
use entity::order::PaymentMethod;
use entity::{
    Currency, InvoiceId, LegalEntityId, OrderId, Rate, ShipmentId, address, channel, customer,
    invoice, invoice_line, invoice_series, invoice_standing, legal_entity, order, order_line,
    shipment, tax_rate,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};
use serde_json::Value as Json;

use crate::documents::Party;
use crate::events::{Entry, Event};
use crate::failure::Failure;
use crate::ledger::{self, Posting};
use crate::notifications::language;
use crate::pricing::{self, PricingError};
use crate::tx::Tx;

pub mod credit;
pub mod paper;
pub mod receipts;
pub mod sellers;
pub mod share;
mod tax;

pub use share::{Amounts, Portion};

/// Money of a shipment that has come in whole.
#[derive(Clone, Debug)]
pub struct Charged {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// How much came, in minor units.
    pub amount_minor: i64,
    /// What it came for.
    pub portion: Portion,
}

/// Issues the invoice of a shipment of which all that it owes was captured, unless it has one; none
/// if nobody sells in the channel, or nothing was due. The caller has locked the order, and does
/// little behind this before it commits.
pub async fn issue(
    tx: &Tx,
    order: &order::Model,
    lines: &[order_line::Model],
    charged: Charged,
) -> Result<Option<InvoiceId>, Failure> {
    let Charged {
        shipment_id,
        amount_minor,
        portion,
    } = charged;
    let seller = sellers::of_channel(tx.db(), order.channel_id).await?;
    let Some(seller) = seller.filter(|_| amount_minor > 0) else {
        return Ok(None);
    };
    let known = invoice::Entity::find()
        .filter(invoice::Column::ShipmentId.eq(shipment_id))
        .filter(invoice::Column::Kind.eq(Kind::Invoice))
        .one(tx.db())
        .await?;
    if let Some(known) = known {
        return Ok(Some(known.id));
    }
    let sent = shipment::Entity::find_by_id(shipment_id)
        .one(tx.db())
        .await?;
    let dispatched_at = sent.and_then(|sent| sent.dispatched_at);
    let facts = Facts::read(tx, order, &seller).await?;
    let rates = delivery_rates(tx.db(), order, &facts.delivered_to).await?;
    let drawn = portion
        .at(amount_minor)
        .and_then(|portion| drawn(order, lines, &portion, rates, &facts));
    let (new_lines, rounding_minor) = drawn.map_err(unpriced)?;
    let today = facts.channel.time_zone.local(tx.now).date();
    let payment = match order.payment_method {
        PaymentMethod::Card => Payment::Card,
        PaymentMethod::External => Payment::External,
        PaymentMethod::Account => Payment::Account,
    };
    let due_on = today + TimeDelta::days(facts.terms_days.unwrap_or_default().into());
    let row = invoice::Model {
        id: tx.id(),
        kind: Kind::Invoice,
        legal_entity_id: seller.id,
        number: 0,
        name: String::new(),
        order_id: order.id,
        channel_id: order.channel_id,
        shipment_id,
        corrects_id: None,
        reason: None,
        payment,
        due_on: (payment == Payment::Account).then_some(due_on),
        currency: order.currency,
        seller: snapshot(&facts.seller)?,
        buyer: snapshot(&facts.buyer)?,
        delivered_to: snapshot(&facts.delivered_to)?,
        language: facts.language,
        net_minor: 0,
        tax_minor: 0,
        rounding_minor,
        total_minor: 0,
        issued_on: today,
        supplied_on: dispatched_at.map(|at| facts.channel.time_zone.local(at).date()),
        issued_at: tx.now,
    };
    Ok(Some(write(tx, order, row, new_lines).await?.id))
}

/// Takes the next number of a series, which stays locked until the transaction ends. Whoever does
/// not commit has not taken it.
async fn take_number(tx: &Tx, seller: LegalEntityId, kind: Kind) -> Result<(i64, String), Failure> {
    use invoice_series::{Column, Entity};
    let taken = Entity::update_many()
        .col_expr(Column::NextNumber, Expr::col(Column::NextNumber).add(1))
        .filter(Column::LegalEntityId.eq(seller))
        .filter(Column::Kind.eq(kind))
        .exec_with_returning(tx.db())
        .await?;
    let series = taken.into_iter().next();
    let series = series.ok_or_else(|| Failure::Internal("a seller without a series".to_owned()))?;
    let number = series.next_number - 1;
    Ok((number, format!("{}{number:06}", series.prefix)))
}

/// Adds a document up, numbers it and writes it with its postings and its event. Nothing is read
/// behind the number.
async fn write(
    tx: &Tx,
    order: &order::Model,
    mut row: invoice::Model,
    mut lines: Vec<invoice_line::Model>,
) -> Result<invoice::Model, Failure> {
    lines.iter_mut().for_each(|line| line.invoice_id = row.id);
    let net_of = |kind: invoice_line::Kind| -> i64 {
        let of_kind = lines.iter().filter(|line| line.kind == kind);
        of_kind.map(|line| line.net_minor).sum()
    };
    let (items, delivery) = (
        net_of(invoice_line::Kind::Item),
        net_of(invoice_line::Kind::Delivery),
    );
    row.net_minor = items + delivery;
    row.tax_minor = lines.iter().map(|line| line.tax_minor).sum();
    row.total_minor = row.net_minor + row.tax_minor + row.rounding_minor;
    (row.number, row.name) = take_number(tx, row.legal_entity_id, row.kind).await?;
    let (document, sign) = match row.kind {
        Kind::Invoice => (Document::Invoice, 1),
        Kind::CreditNote => (Document::CreditNote, -1),
    };
    let amounts = [
        (Account::Revenue, items),
        (Account::DeliveryRevenue, delivery),
        (Account::Tax, row.tax_minor),
        (Account::Rounding, row.rounding_minor),
    ]
    .map(|(account, minor)| (Account::Receivable, account, sign * minor));
    let standing = invoice_standing::Model {
        invoice_id: row.id,
        total_minor: row.total_minor,
        credited_minor: 0,
        printed: false,
        customer_id: match (row.kind, row.payment) {
            (Kind::Invoice, Payment::Account) => order.customer_id,
            _ => None,
        },
        paid_minor: 0,
        settled_at: None,
    };
    let rows = lines.into_iter().map(IntoActiveModel::into_active_model);
    tx.defer_rows(vec![row.clone().into_active_model()], |insert| insert);
    tx.defer_rows(rows.collect::<Vec<invoice_line::ActiveModel>>(), |insert| {
        insert
    });
    tx.defer_rows(vec![standing.into_active_model()], |insert| insert);
    let of = Posting::of(order, document, row.id.0);
    ledger::post(tx, of, &amounts);
    let event = match row.corrects_id {
        None => Event::InvoiceIssued {
            number: row.name.clone(),
            shipment_id: row.shipment_id,
            total: row.total_minor,
        },
        Some(corrects) => Event::CreditNoteIssued {
            number: row.name.clone(),
            corrects,
            total: row.total_minor,
        },
    };
    tx.emit(Entry {
        aggregate_type: "invoice",
        aggregate_id: row.id.to_string(),
        version: 1,
        channel_id: Some(row.channel_id),
        order_id: Some(row.order_id),
        moved: None,
        event,
    });
    Ok(row)
}

/// The invoices and credit notes of an order with their lines, oldest first.
pub async fn of_order(
    db: &impl ConnectionTrait,
    order: OrderId,
) -> Result<Vec<(invoice::Model, Vec<invoice_line::Model>)>, DbErr> {
    let rows = invoice::Entity::find()
        .filter(invoice::Column::OrderId.eq(order))
        .order_by_asc(invoice::Column::IssuedAt)
        .order_by_asc(invoice::Column::Id)
        .all(db)
        .await?;
    let mut lines: BTreeMap<InvoiceId, Vec<invoice_line::Model>> = BTreeMap::new();
    for line in invoice_line::Entity::find()
        .filter(invoice_line::Column::InvoiceId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(invoice_line::Column::Position)
        .all(db)
        .await?
    {
        lines.entry(line.invoice_id).or_default().push(line);
    }
    let with_lines = |row: invoice::Model| {
        let own = lines.remove(&row.id).unwrap_or_default();
        (row, own)
    };
    Ok(rows.into_iter().map(with_lines).collect())
}

/// What an invoice says besides its figures.
struct Facts {
    channel: channel::Model,
    seller: Party,
    buyer: Party,
    delivered_to: Party,
    terms_days: Option<i32>,
    language: String,
}

impl Facts {
    async fn read(
        tx: &Tx,
        order: &order::Model,
        seller: &legal_entity::Model,
    ) -> Result<Facts, Failure> {
        let missing = |what: &str| Failure::Internal(format!("an order without its {what}"));
        let channel = channel::Entity::find_by_id(order.channel_id).one(tx.db());
        let channel = channel.await?.ok_or_else(|| missing("channel"))?;
        let customer = match order.customer_id {
            Some(id) => customer::Entity::find_by_id(id).one(tx.db()).await?,
            None => None,
        };
        let mut parties = Vec::new();
        let billed_to = order
            .billing_address_id
            .unwrap_or(order.shipping_address_id);
        for id in [billed_to, order.shipping_address_id] {
            let row = address::Entity::find_by_id(id).one(tx.db()).await?;
            parties.push(located(row.ok_or_else(|| missing("address"))?));
        }
        let delivered_to = parties.pop().unwrap_or_default();
        let mut buyer = parties.pop().unwrap_or_default();
        buyer.email = order.email.clone();
        // What the channel says beside the order.
        buyer.vat_id = order.metadata["vatId"].as_str().and_then(tax::vat_id);
        if order.billing_address_id.is_none() && buyer.organisation.is_none() {
            buyer.name = order.customer_name.clone();
        }
        Ok(Facts {
            language: language::of_order(order, &delivered_to.country),
            channel,
            seller: sellers::party(seller),
            buyer,
            delivered_to,
            terms_days: customer.and_then(|customer| customer.terms_days),
        })
    }
}

fn located(row: address::Model) -> Party {
    Party {
        name: row.name,
        organisation: row.organisation,
        line1: row.line1,
        line2: row.line2,
        city: row.city,
        region: row.region,
        postal_code: row.postal_code,
        country: row.country,
        ..Party::default()
    }
}

fn snapshot(party: &Party) -> Result<Json, Failure> {
    serde_json::to_value(party).map_err(|error| Failure::Internal(error.to_string()))
}

fn unpriced(error: PricingError) -> Failure {
    Failure::Internal(format!("an invoice that cannot be drawn up: {error}"))
}

/// The rates that an order's delivery may have been taxed at, the likeliest first: an order keeps
/// the tax on its delivery, and not its rate.
async fn delivery_rates(
    db: &impl ConnectionTrait,
    order: &order::Model,
    to: &Party,
) -> Result<Vec<Rate>, DbErr> {
    use tax_rate::{Column, Entity};
    if order.shipping_tax_minor == 0 {
        return Ok(Vec::new());
    }
    let rows = Entity::find().filter(Column::Country.eq(&to.country));
    let mut rows = rows.order_by_asc(Column::Id).all(db).await?;
    rows.sort_by_key(|row| (row.category != "SHIPPING", row.category != "STANDARD"));
    Ok(rows.into_iter().map(|row| row.rate).collect())
}

/// The rate at which an amount comes closest to its tax.
fn closest_rate(rates: impl Iterator<Item = Rate>, net: i64, tax: i64) -> Rate {
    let distance = |rate: &Rate| {
        let at_rate = pricing::multiply(net, *rate, entity::channel::RoundingMode::HalfUp);
        at_rate.map_or(i64::MAX, |at_rate| (at_rate - tax).abs())
    };
    rates.min_by_key(distance).unwrap_or_default()
}

/// The lines of an invoice, and what its total is rounded by.
fn drawn(
    order: &order::Model,
    lines: &[order_line::Model],
    portion: &Portion,
    rates: Vec<Rate>,
    facts: &Facts,
) -> Result<(Vec<invoice_line::Model>, i64), PricingError> {
    let gross: i64 = lines.iter().map(|line| line.gross_minor).sum();
    let net = order.total_minor - gross - order.shipping_tax_minor;
    let rates = rates
        .into_iter()
        .chain(lines.iter().map(|line| line.tax_rate));
    let delivery_rate = match order.shipping_tax_minor {
        0 => Rate::default(),
        tax => closest_rate(rates, net, tax),
    };

    let mut drawn = Vec::new();
    let mut draw = |line: Option<&order_line::Model>, rate: Rate, part: Amounts| {
        let (tax_category, tax_rate) = tax::category(
            &facts.seller,
            &facts.buyer,
            &facts.delivered_to.country,
            order.tax_exempt,
            rate,
        );
        drawn.push(invoice_line::Model {
            invoice_id: InvoiceId(uuid::Uuid::nil()),
            position: i32::try_from(drawn.len()).unwrap_or(i32::MAX - 1) + 1,
            kind: match line {
                Some(_) => invoice_line::Kind::Item,
                None => invoice_line::Kind::Delivery,
            },
            line_id: line.map(|line| line.id),
            sku: line.map_or_else(String::new, |line| line.sku.clone()),
            title: match line {
                Some(line) => line.title.clone(),
                None => delivery_title(&facts.language).to_owned(),
            },
            quantity: part.quantity,
            discount_minor: part.discount,
            net_minor: part.net,
            tax_category,
            tax_rate,
            tax_minor: part.tax,
        });
    };
    for line in lines {
        let mut own = portion.lines.iter().filter(|(id, _)| *id == line.id);
        let Some((_, part)) = own.next() else {
            continue;
        };
        if part.quantity > 0 || part.gross() > 0 {
            let discount = without_tax(order, part.discount, line.tax_rate)?;
            draw(Some(line), line.tax_rate, Amounts { discount, ..*part });
        }
    }
    if portion.delivery.gross() > 0 {
        let delivery = Amounts {
            quantity: 1,
            ..portion.delivery
        };
        draw(None, delivery_rate, delivery);
    }
    let rounding = say_tax(order.currency, &mut drawn)?;
    Ok((drawn, rounding))
}

/// What the delivery is called in a language.
fn delivery_title(language: &str) -> &'static str {
    match language.split('-').next() {
        Some("de") => "Versand",
        _ => "Delivery",
    }
}

/// What a line has charged.
pub fn amounts(line: &invoice_line::Model) -> Amounts {
    Amounts {
        quantity: line.quantity,
        discount: line.discount_minor,
        net: line.net_minor,
        tax: line.tax_minor,
    }
}

/// What comes off a line, without the tax that prices may contain.
fn without_tax(order: &order::Model, minor: i64, rate: Rate) -> Result<i64, PricingError> {
    let mode = entity::channel::RoundingMode::HalfUp;
    match order.tax_included {
        true => Ok(minor - pricing::contained_tax(minor, rate, mode)?),
        false => Ok(minor),
    }
}

/// Says the tax of each group of lines as [`share::said_tax`] has it; the answer is what the total
/// is rounded by.
pub fn say_tax(currency: Currency, lines: &mut [invoice_line::Model]) -> Result<i64, PricingError> {
    let group = |line: &invoice_line::Model| (line.tax_category, line.tax_rate);
    let mut groups: Vec<_> = lines.iter().map(group).collect();
    groups.sort_by_key(|(category, rate)| (*category as u8, *rate));
    groups.dedup();
    let mut rounding = 0;
    for own in groups {
        let mut lines: Vec<_> = lines.iter_mut().filter(|line| group(line) == own).collect();
        let net = lines.iter().map(|line| line.net_minor).sum();
        let tax = lines.iter().map(|line| line.tax_minor).sum();
        let (said, off) = share::said_tax(currency, own.1, net, tax)?;
        if off == 0 {
            continue;
        }
        let weights: Vec<i64> = lines.iter().map(|line| line.net_minor).collect();
        for (line, tax) in lines.iter_mut().zip(pricing::apportion(said, &weights)?) {
            line.tax_minor = tax;
        }
        rounding += off;
    }
    Ok(rounding)
}
