//! Credit notes: the one way to correct an invoice, in whole, by lines or by an amount, and never by
//! more than is left of it.

use std::collections::BTreeSet;

use entity::invoice::Kind;
use entity::{InvoiceId, channel, invoice, invoice_line, invoice_standing, order};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::Serialize;
use serde_json::json;

use super::share::Amounts;
use super::{amounts, of_order, receipts, unpriced, write};
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};
use crate::pricing;
use crate::tx::Tx;

/// What [`correct`] needs.
#[derive(Clone, Debug)]
pub struct Correct {
    /// Which invoice.
    pub id: InvoiceId,
    /// Why; it stands on the credit note.
    pub reason: String,
    /// How much of it.
    pub part: Part,
}

/// How much of an invoice is taken back.
#[derive(Clone, Debug, Serialize)]
pub enum Part {
    /// Whatever is left.
    Whole,
    /// So many units of lines, by their places.
    Lines(Vec<(i32, i64)>),
    /// An amount with tax, in minor units, spread over what is left; no units come back.
    Amount(i64),
    /// Exactly this of lines, by their places.
    Exact {
        /// What of each line.
        lines: Vec<(i32, Amounts)>,
        /// What the total is rounded by, in minor units.
        rounding_minor: i64,
    },
}

/// Issues several credit notes of one order, with what they change locked in one order.
pub async fn correct_all(tx: &Tx, all: &[Correct]) -> Result<(), Failure> {
    let ids: BTreeSet<InvoiceId> = all.iter().map(|cmd| cmd.id).collect();
    let invoices = invoice::Entity::find()
        .filter(invoice::Column::Id.is_in(ids.iter().copied()))
        .all(tx.db())
        .await?;
    for corrected in &invoices {
        receipts::lock_debtor(tx, corrected).await?;
    }
    if tx.locks_rows() {
        invoice_standing::Entity::find()
            .filter(invoice_standing::Column::InvoiceId.is_in(ids))
            .order_by_asc(invoice_standing::Column::InvoiceId)
            .lock_exclusive()
            .all(tx.db())
            .await?;
    }
    for cmd in all {
        correct(tx, cmd).await?;
        // No statement writes a customer twice.
        tx.flush().await?;
    }
    Ok(())
}

/// Issues a credit note.
pub async fn correct(tx: &Tx, cmd: &Correct) -> Result<invoice::Model, Failure> {
    let mut checks = Checks::new();
    let reason = checks.name("input.reason", &cmd.reason);
    checks.done()?;
    let missing = || Problem::not_found("Invoice").at("input.id");
    let row = invoice::Entity::find_by_id(cmd.id).one(tx.db()).await?;
    let corrected = row.ok_or_else(missing)?;
    if corrected.kind == Kind::CreditNote {
        let message = "a credit note is not corrected";
        return Err(Problem::new(Code::InvalidInput, message)
            .at("input.id")
            .into());
    }
    let debtor = receipts::lock_debtor(tx, &corrected).await?;
    let mut standing = invoice_standing::Entity::find_by_id(cmd.id);
    if tx.locks_rows() {
        standing = standing.lock_exclusive();
    }
    let standing = standing.one(tx.db()).await?.ok_or_else(missing)?;
    let order = order::Entity::find_by_id(corrected.order_id).one(tx.db());
    // Every invoice is of an order.
    let order = order
        .await?
        .ok_or_else(|| Problem::archived().at("input.id"))?;
    let channel = channel::Entity::find_by_id(order.channel_id).one(tx.db());
    let channel = channel.await?.ok_or_else(missing)?;

    let of_order = of_order(tx.db(), order.id).await?;
    let own = |(row, lines): &(invoice::Model, Vec<invoice_line::Model>)| {
        let lines = lines.iter().cloned();
        let of_it = row.id == cmd.id || row.corrects_id == Some(cmd.id);
        of_it.then(|| lines.collect::<Vec<_>>())
    };
    let (mut lines, mut credited) = (Vec::new(), Vec::new());
    for line in of_order.iter().filter_map(own).flatten() {
        match line.invoice_id == cmd.id {
            true => lines.push(line),
            false => credited.push(line),
        }
    }
    let left: Vec<Left> = lines
        .into_iter()
        .map(|line| {
            let same = credited.iter().filter(|one| one.position == line.position);
            let before = same.fold(Amounts::default(), |sum, one| sum.and(amounts(one)));
            Left { line, before }
        })
        .collect();
    let of_total = standing.total_minor - standing.credited_minor;
    let parts = parts(&left, of_total, &cmd.part)?;
    let gross: i64 = parts.iter().map(Amounts::gross).sum();
    let all: i64 = left.iter().map(|left| left.rest().gross()).sum();
    let rounding_minor = match &cmd.part {
        Part::Exact { rounding_minor, .. } => *rounding_minor,
        // The last one takes what the total was rounded by.
        _ if gross == all => of_total - gross,
        _ => 0,
    };
    let total = gross + rounding_minor;
    if !(1..=of_total).contains(&total) {
        let message = "no more can be taken back than is left of the invoice";
        return Err(Problem::new(Code::CreditExceedsInvoice, message)
            .at("input")
            .with(json!({ "leftMinor": of_total, "askedMinor": total }))
            .into());
    }
    let lines = left.into_iter().zip(parts).filter_map(|(left, part)| {
        let some = part.quantity > 0 || part.gross() > 0;
        some.then_some(invoice_line::Model {
            quantity: part.quantity,
            discount_minor: part.discount,
            net_minor: part.net,
            tax_minor: part.tax,
            ..left.line
        })
    });
    let lines: Vec<_> = lines.collect();
    let row = invoice::Model {
        id: tx.id(),
        kind: Kind::CreditNote,
        corrects_id: Some(cmd.id),
        reason: Some(reason),
        due_on: None,
        rounding_minor,
        issued_on: channel.time_zone.local(tx.now).date(),
        issued_at: tx.now,
        ..corrected
    };
    if let Some(debtor) = debtor {
        receipts::free_credit(tx, debtor, standing.frees(total)).await?;
    }
    use invoice_standing::Column;
    tx.defer(
        invoice_standing::Entity::update_many()
            .col_expr(
                Column::CreditedMinor,
                Expr::col(Column::CreditedMinor).add(total),
            )
            .col_expr(
                Column::SettledAt,
                Expr::value(standing.settled(total, tx.now)),
            )
            .filter(Column::InvoiceId.eq(cmd.id))
            .into_query(),
    );
    write(tx, &order, row, lines).await
}

/// A line of an invoice, and what of it was taken back before.
struct Left {
    line: invoice_line::Model,
    before: Amounts,
}

impl Left {
    fn rest(&self) -> Amounts {
        amounts(&self.line).less(self.before)
    }
}

/// What of each line is taken back.
fn parts(left: &[Left], of_total: i64, part: &Part) -> Result<Vec<Amounts>, Failure> {
    let all: i64 = left.iter().map(|left| left.rest().gross()).sum();
    match part {
        Part::Whole => Ok(left.iter().map(Left::rest).collect()),
        Part::Exact { lines, .. } => {
            let of = |left: &Left| {
                let own = lines.iter().find(|(place, _)| *place == left.line.position);
                own.map(|(_, part)| *part).unwrap_or_default()
            };
            Ok(left.iter().map(of).collect())
        }
        Part::Amount(amount) => {
            let rests = left.iter().map(|left| left.rest());
            let weights: Vec<i64> = rests.clone().map(|rest| rest.gross()).collect();
            // Whoever takes all that is left takes all of the lines.
            let gross = if *amount == of_total { all } else { *amount };
            let gross = pricing::apportion(gross, &weights).map_err(unpriced)?;
            let parts = rests.zip(gross).map(|(rest, gross)| {
                let part = rest.at_gross(gross)?;
                Ok(Amounts {
                    quantity: 0,
                    discount: 0,
                    ..part
                })
            });
            parts.collect::<Result<_, _>>().map_err(unpriced)
        }
        Part::Lines(asked) => {
            let mut checks = Checks::new();
            let mut seen = BTreeSet::new();
            let mut parts = vec![Amounts::default(); left.len()];
            for (place, (position, units)) in asked.iter().enumerate() {
                let field = |name: &str| format!("input.lines.{place}.{name}");
                let found = left.iter().position(|left| left.line.position == *position);
                let found = found.filter(|_| seen.insert(*position));
                let Some(index) = found else {
                    let message = "the invoice has no such line, or it is named twice";
                    let problem = Problem::new(Code::NotFound, message);
                    checks.refuse(problem.at(&field("position")));
                    continue;
                };
                let Left { line, before } = &left[index];
                let most = line.quantity - before.quantity;
                checks.count(&field("quantity"), *units, 1, most);
                parts[index] = amounts(line).of_units(*units, *before);
            }
            checks.done()?;
            Ok(parts)
        }
    }
}
