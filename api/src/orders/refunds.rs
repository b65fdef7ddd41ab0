//! Money that goes back after it was captured: what was decided, what of which shipment it is, and
//! what the gateway is asked for it.
//!
//! A refund is decided once, in one transaction with its credit notes, and is owed from then on.
//! What a gateway does not give back stays owed, and is asked for again by a person.

use std::collections::BTreeMap;

use entity::invoice::Kind as InvoiceKind;
use entity::order::PaymentMethod;
use entity::{
    InvoiceId, LineId, OrderId, Rate, RefundId, ReturnId, ShipmentId, dispute, invoice,
    invoice_line, refund, refund_line,
};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde_json::json;

use super::aggregate::Aggregate;
use super::lifecycle::Action;
use super::{Changed, captures, lock_one, open_exception, settle_found, text};
use crate::events::Event;
use crate::exceptions::Finding;
use crate::failure::{Code, Failure, Problem};
use crate::invoicing::credit::{self, Correct, Part};
use crate::invoicing::{self, Amounts};
use crate::ledger;
use crate::payments::{self, Effect, charges};
use crate::pricing;
use crate::tx::Tx;

/// Why no refund is possible.
pub(super) const NOTHING_LEFT: &str = "nothing is left to give back";

/// Why no refund is asked for again.
pub(super) const NONE_FAILED: &str = "no refund has failed";

/// Why a refund is not asked for again yet.
pub(super) const ASKED_ALREADY: &str = "the last refund has no answer yet";

/// What a shipment was sold for, and what of that was given back.
#[derive(Clone, Debug)]
pub struct Sold {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Its invoice; none if nobody sells in the channel.
    invoice: Option<Billed>,
    /// What was captured for it, in minor units.
    captured_minor: i64,
    /// What of that was given back by refunds, in minor units.
    refunded_minor: i64,
    /// Its lines, and its delivery.
    pub parts: Vec<SoldPart>,
}

#[derive(Clone, Debug)]
struct Billed {
    id: InvoiceId,
    /// What its total is rounded by, less what credit notes took of that.
    rounding_minor: i64,
}

/// A line of a shipment, or its delivery.
#[derive(Clone, Copy, Debug)]
pub struct SoldPart {
    /// The order's line; none = the delivery.
    pub line_id: Option<LineId>,
    /// Its place on the invoice.
    position: i32,
    /// What was charged.
    whole: Amounts,
    /// What was given back.
    before: Amounts,
}

impl SoldPart {
    /// How many units can still come back.
    pub fn units_left(&self) -> i64 {
        self.whole.quantity - self.before.quantity
    }

    /// What so many of its units cost, after those that came back before: cut where the units are,
    /// so that whatever was kept of earlier ones stays kept.
    fn units(&self, units: i64) -> Result<Amounts, Failure> {
        let cut = |reached| self.whole.of_units(reached, Amounts::default());
        let before = self.before.quantity;
        let part = match before {
            0 => cut(units),
            _ => cut(before + units).less(cut(before)),
        };
        let rest = self.whole.less(self.before);
        // Amounts may have gone back for no units.
        let gross = std::cmp::min(part.gross(), rest.gross());
        let part = Amounts {
            quantity: units,
            ..part
        };
        part.at_gross(gross).map_err(unpriced)
    }
}

fn unpriced(error: pricing::PricingError) -> Failure {
    Failure::Internal(format!("a refund: {error}"))
}

/// What goes back for one part of a shipment.
#[derive(Clone, Copy, Debug)]
struct Portion {
    /// Which shipment, by its place.
    sold: usize,
    /// Which part of it.
    part: usize,
    /// What goes back.
    amounts: Amounts,
    /// What was kept, in minor units.
    fee: i64,
}

/// What goes back, put together part by part.
pub struct Basket {
    sold: Vec<Sold>,
    portions: Vec<Portion>,
}

impl Basket {
    /// What was captured of an order, shipment by shipment, in the order of their charges.
    pub async fn open(tx: &Tx, aggregate: &Aggregate) -> Result<Basket, Failure> {
        let order = aggregate.order.id;
        let invoices = invoicing::of_order(tx.db(), order).await?;
        let given = refund_line::Entity::find()
            .filter(refund_line::Column::OrderId.eq(order))
            .all(tx.db())
            .await?;
        let mut sold = Vec::new();
        for charge in charges::of_order(tx.db(), order).await? {
            if charge.captured_at.is_none() {
                continue;
            }
            let id = charge.shipment_id;
            let given: Vec<&refund_line::Model> =
                given.iter().filter(|line| line.shipment_id == id).collect();
            let (invoice, parts) = match billed(&invoices, id) {
                Some((billed, parts)) => (Some(billed), parts),
                None => (None, shared(tx, aggregate, id, &given).await?),
            };
            sold.push(Sold {
                shipment_id: id,
                invoice,
                captured_minor: charge.captured_minor,
                refunded_minor: given.iter().map(|line| line.amount_minor).sum(),
                parts,
            });
        }
        Ok(Basket {
            sold,
            portions: Vec::new(),
        })
    }

    /// What was taken of a part before, in this basket as well.
    fn part(&self, sold: usize, part: usize) -> SoldPart {
        let mut own = self.sold[sold].parts[part];
        for portion in &self.portions {
            if (portion.sold, portion.part) == (sold, part) {
                own.before = own.before.and(portion.amounts);
            }
        }
        own
    }

    /// Adds units of a line, those of the shipment that was charged first before others, less a fee
    /// for restocking. Refused if the money of so many has not come, or is back already.
    pub fn units(&mut self, line: LineId, units: i64, fee: Rate) -> Result<(), Failure> {
        let mut missing = units;
        for sold in 0..self.sold.len() {
            for part in 0..self.sold[sold].parts.len() {
                let own = self.part(sold, part);
                let quantity = std::cmp::min(missing, own.units_left());
                if own.line_id != Some(line) || quantity <= 0 {
                    continue;
                }
                let whole = own.units(quantity)?;
                let kept =
                    pricing::multiply(whole.gross(), fee, entity::channel::RoundingMode::HalfUp)
                        .map_err(unpriced)?
                        .clamp(0, whole.gross());
                self.portions.push(Portion {
                    sold,
                    part,
                    amounts: whole.at_gross(whole.gross() - kept).map_err(unpriced)?,
                    fee: kept,
                });
                missing -= quantity;
            }
        }
        if missing > 0 {
            let message = "the money of these units was not captured, or is back already";
            return Err(Problem::new(Code::RefundExceedsCaptured, message)
                .with(json!({ "unitsLeft": units - missing, "unitsAsked": units }))
                .into());
        }
        Ok(())
    }

    /// Whether every unit that was paid for has come back, those in this basket among them.
    pub fn is_everything(&self) -> bool {
        (0..self.sold.len()).all(|sold| {
            (0..self.sold[sold].parts.len()).all(|part| {
                let own = self.part(sold, part);
                own.line_id.is_none() || own.units_left() <= 0
            })
        })
    }

    /// Adds whatever is left of what the delivery was charged.
    pub fn delivery(&mut self) {
        for sold in 0..self.sold.len() {
            for part in 0..self.sold[sold].parts.len() {
                let own = self.part(sold, part);
                let rest = own.whole.less(own.before);
                if own.line_id.is_none() && rest.gross() > 0 {
                    self.portions.push(Portion {
                        sold,
                        part,
                        amounts: rest,
                        fee: 0,
                    });
                }
            }
        }
    }

    /// Adds an amount for no units, from what is left of the shipments, that which was charged first
    /// before others.
    pub fn amount(&mut self, minor: i64) -> Result<(), Failure> {
        let mut missing = minor;
        for sold in 0..self.sold.len() {
            let of = &self.sold[sold];
            let parts: Vec<SoldPart> = (0..of.parts.len()).map(|p| self.part(sold, p)).collect();
            let rests: Vec<Amounts> = parts.iter().map(|own| own.whole.less(own.before)).collect();
            let weights: Vec<i64> = rests.iter().map(Amounts::gross).collect();
            let amount = std::cmp::min(missing, weights.iter().sum());
            if amount <= 0 {
                continue;
            }
            let cut = pricing::apportion(amount, &weights).map_err(unpriced)?;
            for (part, (rest, gross)) in rests.into_iter().zip(cut).enumerate() {
                if gross > 0 {
                    let amounts = rest.at_gross(gross).map_err(unpriced)?;
                    self.portions.push(Portion {
                        sold,
                        part,
                        amounts: Amounts {
                            quantity: 0,
                            discount: 0,
                            ..amounts
                        },
                        fee: 0,
                    });
                }
            }
            missing -= amount;
        }
        match missing {
            0 => Ok(()),
            _ => Err(exceeds(minor - missing, minor)),
        }
    }

    /// What of a shipment's total the parts do not have, if all of them have gone back: an invoice's
    /// total may be rounded.
    fn rounding(&self, sold: usize) -> i64 {
        let rounding = self.sold[sold].invoice.as_ref();
        let rounding = rounding.map_or(0, |billed| billed.rounding_minor);
        let whole = (0..self.sold[sold].parts.len()).all(|part| {
            let own = self.part(sold, part);
            match own.line_id {
                Some(_) => own.units_left() <= 0,
                None => own.whole.less(own.before).gross() <= 0,
            }
        });
        if whole { rounding } else { 0 }
    }

    /// What goes back of each shipment, in minor units.
    fn by_shipment(&self) -> BTreeMap<usize, i64> {
        let mut all: BTreeMap<usize, i64> = BTreeMap::new();
        for portion in &self.portions {
            *all.entry(portion.sold).or_default() += portion.amounts.gross();
        }
        for (sold, amount) in &mut all {
            *amount = std::cmp::max(*amount + self.rounding(*sold), 0);
        }
        all
    }

    /// What goes back in all, in minor units.
    pub fn total(&self) -> i64 {
        self.by_shipment().values().sum()
    }

    /// What is kept in all, in minor units.
    pub fn fee(&self) -> i64 {
        self.portions.iter().map(|portion| portion.fee).sum()
    }
}

/// An invoice's lines, each with what credit notes took of it.
fn billed(
    invoices: &[(invoice::Model, Vec<invoice_line::Model>)],
    shipment: ShipmentId,
) -> Option<(Billed, Vec<SoldPart>)> {
    let mut all = invoices.iter();
    let (row, lines) =
        all.find(|(row, _)| row.kind == InvoiceKind::Invoice && row.shipment_id == shipment)?;
    let credits: Vec<_> = invoices
        .iter()
        .filter(|(credit, _)| credit.corrects_id == Some(row.id))
        .collect();
    let parts = lines.iter().map(|line| {
        let same = credits.iter().flat_map(|(_, lines)| lines);
        let same = same.filter(|one| one.position == line.position);
        SoldPart {
            line_id: line.line_id,
            position: line.position,
            whole: invoicing::amounts(line),
            before: same.fold(Amounts::default(), |sum, one| {
                sum.and(invoicing::amounts(one))
            }),
        }
    });
    let taken: i64 = credits
        .iter()
        .map(|(credit, _)| credit.rounding_minor)
        .sum();
    let billed = Billed {
        id: row.id,
        rounding_minor: row.rounding_minor - taken,
    };
    Some((billed, parts.collect()))
}

/// A shipment's share of its order, where nobody writes invoices.
async fn shared(
    tx: &Tx,
    aggregate: &Aggregate,
    shipment: ShipmentId,
    given: &[&refund_line::Model],
) -> Result<Vec<SoldPart>, Failure> {
    let share = captures::share(tx, aggregate, shipment).await?;
    let before = |line: Option<LineId>| {
        let own = given.iter().filter(|one| one.line_id == line);
        own.fold(Amounts::default(), |sum, one| {
            sum.and(Amounts {
                quantity: one.quantity,
                discount: 0,
                net: one.amount_minor,
                tax: 0,
            })
        })
    };
    // What was given back is known with its tax, so that is what is cut.
    let lines = share.lines.iter().map(|line| SoldPart {
        line_id: Some(line.line_id),
        position: 0,
        whole: Amounts {
            quantity: line.units,
            discount: 0,
            net: line.net + line.tax,
            tax: 0,
        },
        before: before(Some(line.line_id)),
    });
    let delivery = SoldPart {
        line_id: None,
        position: 0,
        whole: Amounts {
            quantity: 1,
            discount: 0,
            net: std::cmp::max(share.delivery_net + share.delivery_tax, 0),
            tax: 0,
        },
        before: before(None),
    };
    Ok(lines.chain([delivery]).collect())
}

fn exceeds(left: i64, asked: i64) -> Failure {
    let message = "no more can be given back than is left of what was captured";
    Problem::new(Code::RefundExceedsCaptured, message)
        .at("input")
        .with(json!({ "leftMinor": left, "askedMinor": asked }))
        .into()
}

/// Why money goes back.
pub struct Grounds {
    /// The return that it is for.
    pub return_id: Option<ReturnId>,
    /// Why, if it is for none.
    pub reason: Option<String>,
    /// Why it is paid before what became of the units is known.
    pub override_reason: Option<String>,
}

/// Decides that what is in a basket goes back: writes the decision and its credit notes, and
/// intends what the gateway is asked. An empty basket is a decision as well: all of it was kept.
pub async fn give(
    tx: &Tx,
    aggregate: &mut Aggregate,
    basket: Basket,
    grounds: Grounds,
) -> Result<(RefundId, Vec<Effect>), Failure> {
    let order_id = aggregate.order.id;
    let (amount, fee) = (basket.total(), basket.fee());
    let id: RefundId = tx.id();
    let by_shipment = basket.by_shipment();
    let credited = why(&grounds);
    let mut credits = Vec::new();
    for (sold, minor) in &by_shipment {
        let of = &basket.sold[*sold];
        if *minor > of.captured_minor - of.refunded_minor {
            return Err(exceeds(of.captured_minor - of.refunded_minor, *minor));
        }
        let Some(billed) = of.invoice.as_ref().filter(|_| *minor > 0) else {
            continue;
        };
        let mut lines: BTreeMap<i32, Amounts> = BTreeMap::new();
        for portion in basket.portions.iter().filter(|one| one.sold == *sold) {
            let place = lines.entry(of.parts[portion.part].position).or_default();
            *place = place.and(portion.amounts);
        }
        credits.push(Correct {
            id: billed.id,
            reason: credited.clone(),
            part: Part::Exact {
                lines: lines.into_iter().collect(),
                rounding_minor: basket.rounding(*sold),
            },
        });
    }
    let row = refund::Model {
        id,
        order_id,
        return_id: grounds.return_id,
        amount_minor: amount,
        fee_minor: fee,
        reason: grounds.reason,
        override_reason: grounds.override_reason.clone(),
        requested_by: tx.actor.name.clone(),
        requested_at: tx.now,
    };
    tx.defer_rows(vec![row.into_active_model()], |insert| insert);
    tx.defer_rows(lines(id, order_id, &basket, &by_shipment), |insert| insert);
    tx.flush().await?;
    aggregate.record(
        tx,
        Event::OrderRefundRequested {
            refund_id: id.0,
            return_id: grounds.return_id.map(|id| id.0),
            amount,
            fee,
            override_reason: grounds.override_reason,
        },
    );
    let asked = by_shipment.into_iter();
    let asked: Vec<(ShipmentId, i64)> = asked
        .map(|(sold, minor)| (basket.sold[sold].shipment_id, minor))
        .collect();
    let effects = ask(tx, aggregate, &asked).await?;
    credit::correct_all(tx, &credits).await?;
    Ok((id, effects))
}

/// What stands on the credit notes.
fn why(grounds: &Grounds) -> String {
    match (&grounds.reason, grounds.return_id) {
        (Some(reason), _) => reason.chars().take(200).collect(),
        (None, _) => "returned goods".to_owned(),
    }
}

/// The rows of a refund; what a total is rounded by goes with the shipment's first.
fn lines(
    id: RefundId,
    order_id: OrderId,
    basket: &Basket,
    by_shipment: &BTreeMap<usize, i64>,
) -> Vec<refund_line::ActiveModel> {
    let mut rounded: BTreeMap<usize, i64> = by_shipment.clone();
    for portion in &basket.portions {
        *rounded.entry(portion.sold).or_default() -= portion.amounts.gross();
    }
    let rows = basket.portions.iter().zip(0..).map(|(portion, position)| {
        let of = &basket.sold[portion.sold];
        let off = rounded.remove(&portion.sold).unwrap_or_default();
        refund_line::Model {
            refund_id: id,
            position,
            order_id,
            shipment_id: of.shipment_id,
            line_id: of.parts[portion.part].line_id,
            quantity: portion.amounts.quantity,
            amount_minor: std::cmp::max(portion.amounts.gross() + off, 0),
            fee_minor: portion.fee,
        }
        .into_active_model()
    });
    rows.collect()
}

/// Takes what is to be given back of shipments from what was captured for them, the oldest capture
/// first, and then from the order's other captures. What a customer's bank has taken or may take
/// back is not given a second time.
async fn ask(
    tx: &Tx,
    aggregate: &mut Aggregate,
    asked: &[(ShipmentId, i64)],
) -> Result<Vec<Effect>, Failure> {
    let disputed: Vec<dispute::Model> = dispute::Entity::find()
        .filter(dispute::Column::OrderId.eq(aggregate.order.id))
        .filter(dispute::Column::State.ne(dispute::State::Won))
        .all(tx.db())
        .await?;
    let is_card = aggregate.order.payment_method == PaymentMethod::Card;
    let mut effects = Vec::new();
    for (shipment, minor) in asked {
        let mut missing = *minor;
        let Some(payment) = aggregate.payment.as_ref().filter(|_| missing > 0) else {
            continue;
        };
        let mut captures = payments::refundable(tx, payment).await?;
        captures.sort_by_key(|(row, _)| row.shipment_id != Some(*shipment));
        let is_disputed = |row: &entity::payment_transaction::Model| {
            disputed.iter().any(|one| one.transaction_id == row.id)
        };
        let blocked = captures.iter().any(|(row, _)| is_disputed(row));
        for (capture, left) in captures.iter().filter(|(row, _)| !is_disputed(row)) {
            let amount = std::cmp::min(missing, *left);
            let Some(payment) = aggregate.payment.as_mut().filter(|_| amount > 0) else {
                continue;
            };
            if is_card {
                effects.extend(payments::refund(tx, payment, capture, amount).await?);
            } else if let Some(id) = payments::refund_settled(tx, payment, capture, amount).await? {
                settled(tx, aggregate, id, amount);
            }
            missing -= amount;
        }
        if missing > 0 && blocked {
            let message = "the customer's bank has taken the money back, or may";
            return Err(Problem::new(Code::RefundDisputed, message)
                .at("input")
                .into());
        }
        if missing > 0 {
            return Err(exceeds(minor - missing, *minor));
        }
    }
    tx.flush().await?;
    Ok(effects)
}

/// Says that money went back without a gateway.
fn settled(tx: &Tx, aggregate: &mut Aggregate, id: entity::TransactionId, amount: i64) {
    aggregate.record(
        tx,
        Event::OrderPaymentRefunded {
            transaction_id: id.0,
            amount,
        },
    );
    if let Some(payment) = &aggregate.payment {
        ledger::post_refund(tx, &aggregate.order, payment, id, amount);
    }
}

/// What is owed of an order's refunds and not asked for at present, in minor units.
async fn outstanding(tx: &Tx, aggregate: &Aggregate) -> Result<i64, Failure> {
    let decided: i64 = refund::Entity::find()
        .filter(refund::Column::OrderId.eq(aggregate.order.id))
        .order_by_asc(refund::Column::RequestedAt)
        .all(tx.db())
        .await?
        .iter()
        .map(|row| row.amount_minor)
        .sum();
    let gone = aggregate.payment.as_ref().map_or(0, |payment| {
        payment.refunded_minor + payment.refund_pending_minor
    });
    Ok(decided - gone)
}

/// Records that the gateway did not give money back that is owed.
pub(super) fn declined(tx: &Tx, aggregate: &mut Aggregate, effect: &Effect, reason: &str) {
    aggregate.record(
        tx,
        Event::OrderRefundDeclined {
            transaction_id: effect.id.0,
            amount: effect.amount.minor,
            reason: reason.to_owned(),
        },
    );
    if aggregate.has_open(Code::RefundFailed) {
        return;
    }
    let finding = Finding {
        code: Code::RefundFailed,
        line: None,
        field: "payment".to_owned(),
        message: format!("{} was not given back: {reason}", effect.amount),
        details: json!({ "amount": effect.amount.minor, "currency": effect.amount.currency,
            "declineCode": reason }),
        rule: None,
    };
    open_exception(tx, aggregate, &finding);
}

/// What follows from money that was given back.
pub(super) async fn came(tx: &Tx, aggregate: &mut Aggregate) -> Result<(), Failure> {
    if aggregate.has_open(Code::RefundFailed) && outstanding(tx, aggregate).await? <= 0 {
        let failed = Code::RefundFailed.as_str();
        settle_found(tx, aggregate, "the money was given back", |open| {
            open.code == failed
        });
    }
    Ok(())
}

/// What [`refund`] needs.
pub struct Refund {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Why; it stands on the credit note.
    pub reason: String,
}

/// Gives an amount back though nothing comes back for it.
pub async fn refund(tx: &Tx, cmd: &Refund) -> Result<Changed, Failure> {
    let reason = text("reason", &cmd.reason)?;
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::Refund, Code::OrderStateInvalid)?;
    if cmd.amount_minor <= 0 {
        let message = "the amount must be above zero";
        return Err(Problem::new(Code::AmountInvalid, message)
            .at("input.amount")
            .into());
    }
    let mut basket = Basket::open(tx, &aggregate).await?;
    basket.amount(cmd.amount_minor)?;
    let grounds = Grounds {
        return_id: None,
        reason: Some(reason),
        override_reason: None,
    };
    let (_, effects) = give(tx, &mut aggregate, basket, grounds).await?;
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects,
    })
}

/// What [`retry`] needs.
pub struct Retry {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
}

/// Asks the gateway again for what it did not give back.
pub async fn retry(tx: &Tx, cmd: &Retry) -> Result<Changed, Failure> {
    let mut aggregate = lock_one(tx, cmd.order_id).await?;
    aggregate.expect_version(cmd.expected_version)?;
    aggregate.transition(tx, Action::RetryRefund, Code::OrderStateInvalid)?;
    let owed = outstanding(tx, &aggregate).await?;
    if !aggregate.has_open(Code::RefundFailed) {
        return Err(Problem::new(Code::OrderStateInvalid, NONE_FAILED).into());
    }
    if owed <= 0 {
        return Err(Problem::new(Code::InProgress, ASKED_ALREADY).into());
    }
    let Some(first) = charges::of_order(tx.db(), cmd.order_id)
        .await?
        .into_iter()
        .next()
    else {
        return Err(Problem::new(Code::OrderStateInvalid, NOTHING_LEFT).into());
    };
    let effects = ask(tx, &mut aggregate, &[(first.shipment_id, owed)]).await?;
    aggregate.touch();
    aggregate.save(tx);
    Ok(Changed {
        order_id: cmd.order_id,
        effects,
    })
}
