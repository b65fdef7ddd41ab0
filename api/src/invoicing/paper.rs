//! What is printed of invoices, from their own rows alone: as they were issued, whatever has changed
//! since. Storing is the caller's.

use entity::document::Kind as DocumentKind;
use entity::invoice::{Kind, Payment};
use entity::{InvoiceId, invoice, invoice_line, invoice_standing, order};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value as Json;

use crate::documents::{self, Bill, BillLine, NewDocument, Party};
use crate::failure::{Failure, Problem};
use crate::notifications::{self, Billed, Notice};
use crate::tx::Tx;

/// How many are printed in one round.
const ROUND: u64 = 50;

/// What an invoice comes to on paper, and whom it is for.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Its documents: one for people, and one for programs.
    pub documents: Vec<NewDocument>,
    /// The invoice.
    pub invoice: invoice::Model,
    /// The order.
    pub order: order::Model,
    /// What its customer is told.
    pub billed: Billed,
}

/// The subject of what is printed for an invoice.
pub fn of_invoice(id: InvoiceId) -> String {
    format!("invoice:{id}")
}

/// The invoices that are not printed yet, oldest first.
pub async fn unprinted(db: &impl ConnectionTrait) -> Result<Vec<InvoiceId>, DbErr> {
    use invoice_standing::{Column, Entity};
    Entity::find()
        .select_only()
        .column(Column::InvoiceId)
        .filter(Column::Printed.eq(false))
        .order_by_asc(Column::InvoiceId)
        .limit(ROUND)
        .into_tuple()
        .all(db)
        .await
}

/// Prints an invoice or a credit note.
pub async fn print(db: &impl ConnectionTrait, id: InvoiceId) -> Result<Printed, Failure> {
    let missing = || Problem::not_found("Invoice");
    let row = invoice::Entity::find_by_id(id).one(db).await?;
    let row = row.ok_or_else(missing)?;
    let order = order::Entity::find_by_id(row.order_id).one(db).await?;
    let order = order.ok_or_else(missing)?;
    let corrected = match row.corrects_id {
        Some(id) => invoice::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    let lines = invoice_line::Entity::find()
        .filter(invoice_line::Column::InvoiceId.eq(id))
        .order_by_asc(invoice_line::Column::Position)
        .all(db)
        .await?;
    let bill = bill(&row, lines, &order, corrected.as_ref())?;
    let kind = match row.kind {
        Kind::Invoice => DocumentKind::Invoice,
        Kind::CreditNote => DocumentKind::CreditNote,
    };
    let kept = |rendered| NewDocument {
        kind,
        subject: of_invoice(id),
        order: Some((order.id, order.channel_id)),
        name: row.name.clone(),
        rendered,
    };
    let billed = Billed {
        kind: row.kind,
        number: row.name.clone(),
        total: entity::Money::new(row.total_minor, row.currency),
        corrects: corrected.map(|row| row.name),
        due_on: row.due_on.filter(|_| row.payment == Payment::Account),
        lines: bill
            .lines()
            .filter(|line| line.quantity > 0)
            .map(|line| (line.title.clone(), line.quantity))
            .collect(),
    };
    Ok(Printed {
        documents: vec![
            kept(documents::bill(&bill)?),
            kept(documents::bill_ubl(&bill)?),
        ],
        invoice: row,
        billed,
        order,
    })
}

/// What an invoice says.
fn bill(
    row: &invoice::Model,
    lines: Vec<invoice_line::Model>,
    order: &order::Model,
    corrected: Option<&invoice::Model>,
) -> Result<Bill, Failure> {
    let (mut items, mut charges): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line.kind == invoice_line::Kind::Item);
    // The standard asks for a line.
    if items.is_empty() {
        items = std::mem::take(&mut charges);
    }
    let said = |line: invoice_line::Model| BillLine {
        position: line.position,
        sku: line.sku,
        title: line.title,
        quantity: line.quantity,
        discount_minor: line.discount_minor,
        net_minor: line.net_minor,
        category: line.tax_category,
        rate: line.tax_rate,
        tax_minor: line.tax_minor,
    };
    Ok(Bill {
        kind: row.kind,
        name: row.name.clone(),
        language: row.language.clone(),
        currency: row.currency,
        issued_on: row.issued_on,
        supplied_on: row.supplied_on,
        seller: party(&row.seller)?,
        buyer: party(&row.buyer)?,
        delivered_to: party(&row.delivered_to)?,
        order_number: order.number.clone(),
        reference: order.external_reference.clone(),
        corrects: corrected.map(|row| (row.name.clone(), row.issued_on)),
        reason: row.reason.clone(),
        payment: row.payment,
        due_on: row.due_on,
        items: items.into_iter().map(said).collect(),
        charges: charges.into_iter().map(said).collect(),
        rounding_minor: row.rounding_minor,
    })
}

/// A party as it was kept.
pub fn party(kept: &Json) -> Result<Party, Failure> {
    serde_json::from_value(kept.clone()).map_err(|error| Failure::Internal(error.to_string()))
}

/// Stores what was printed, and owes the customer the message that brings it; once, however many
/// nodes have printed it.
pub async fn keep(tx: &Tx, printed: &Printed) -> Result<bool, Failure> {
    use invoice_standing::{Column, Entity};
    let marked = Entity::update_many()
        .col_expr(Column::Printed, Expr::value(true))
        .filter(Column::InvoiceId.eq(printed.invoice.id))
        .filter(Column::Printed.eq(false))
        .exec(tx.db())
        .await?;
    if marked.rows_affected == 0 {
        return Ok(false);
    }
    let mut kept = Vec::new();
    for new in &printed.documents {
        kept.push(documents::store(tx, new.clone()).await?.id);
    }
    let Printed {
        invoice,
        order,
        billed,
        ..
    } = printed;
    let notice = Notice::billed(order, invoice.id, &invoice.language, billed, &kept);
    notifications::owe(tx, notice).await?;
    Ok(true)
}
