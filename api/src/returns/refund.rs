//! What is paid for units that came back: once what became of them is known, or before by a person's
//! word that stands in the log.

use entity::return_line::Reason;
use entity::return_order::Status;
use entity::{Rate, ReturnId, ReturnLineId, return_line};

use super::lifecycle::Action;
use super::{Held, came, expect_version, not_inspected, uninspected, write_lines};
use crate::catalogue::Reference;
use crate::checks::Checks;
use crate::failure::{Code, Failure, Problem};
use crate::orders::aggregate::missing as not_gone;
use crate::orders::refunds::{self, Basket, Grounds};
use crate::orders::{Changed, text};
use crate::tx::Tx;

/// What [`refund`] needs.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Which return.
    pub id: ReturnId,
    /// The version that the caller decided on.
    pub expected_version: Option<i64>,
    /// Whether nothing is kept for restocking.
    pub waives_fee: bool,
    /// Whether what the delivery was charged goes back; none = as the channel says.
    pub delivery: Option<bool>,
    /// Units that are paid for before what became of them is known.
    pub ahead: Option<Ahead>,
}

/// Units that are paid for by a person's word.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Why.
    pub reason: String,
    /// How many units of which lines.
    pub lines: Vec<(ReturnLineId, i64)>,
}

/// Pays for the units of a return of which what became is known, and for those ahead of that.
pub async fn refund(
    tx: &Tx,
    reference: &Reference,
    cmd: &Refund,
) -> Result<(ReturnId, Changed), Failure> {
    let mut held = Held::lock(tx, cmd.id).await?;
    expect_version(&held.row, cmd.expected_version)?;
    held.step(Action::Refund)?;
    let waiting = uninspected(&held);
    if waiting > 0 && cmd.ahead.is_none() {
        return Err(not_inspected(waiting).into());
    }
    let ahead = ahead(&held, cmd)?;
    let channel = reference.channel(held.order.order.channel_id);
    let channel = channel.map(|channel| &channel.row);
    let fee = channel.map_or_else(Rate::default, |channel| channel.restocking_fee);
    let mut basket = Basket::open(tx, &held.order).await?;
    let mut paid = 0;
    for (line, ahead) in held.lines.iter_mut().zip(ahead) {
        let known = came(&held.units, line) - line.refunded;
        let units = std::cmp::max(known, 0) + ahead;
        if units == 0 {
            continue;
        }
        let fee = match cmd.waives_fee || is_our_fault(line.reason) {
            true => Rate::default(),
            false => fee,
        };
        basket.units(line.line_id, units, fee)?;
        line.refunded += units;
        paid += units;
    }
    if paid == 0 {
        let message = "none of its units is to be paid for";
        return Err(Problem::new(Code::ReturnStateInvalid, message)
            .at("input.id")
            .into());
    }
    let by_policy = || {
        let all_left = |line: &entity::order_line::Model| {
            not_gone(line) == 0 && line.allocated + line.backordered + line.reserved == 0
        };
        channel.is_some_and(|channel| channel.refunds_delivery)
            && held.order.lines.iter().all(all_left)
            && basket.is_everything()
    };
    if cmd.delivery.unwrap_or_else(by_policy) {
        basket.delivery();
    }
    let grounds = Grounds {
        return_id: Some(held.row.id),
        reason: None,
        override_reason: cmd.ahead.as_ref().map(|ahead| ahead.reason.clone()),
    };
    let (_, effects) = refunds::give(tx, &mut held.order, basket, grounds).await?;
    let is_paid = |line: &return_line::Model| line.refunded >= came(&held.units, line);
    if held.row.status == Status::Inspected && held.lines.iter().all(is_paid) {
        held.step(Action::Close)?;
        held.close(tx, None);
    }
    write_lines(tx, &held.lines);
    let order_id = held.row.order_id;
    let id = held.save(tx).await?;
    Ok((id, Changed { order_id, effects }))
}

/// Whether the merchant bears what the return costs.
fn is_our_fault(reason: Reason) -> bool {
    use Reason::*;
    match reason {
        Defective | Damaged | NotAsDescribed | WrongItem | TooLate => true,
        NoLongerWanted | WrongSize | Other => false,
    }
}

/// How many units of each line are paid for ahead.
fn ahead(held: &Held, cmd: &Refund) -> Result<Vec<i64>, Failure> {
    let mut all = vec![0; held.lines.len()];
    let Some(ahead) = &cmd.ahead else {
        return Ok(all);
    };
    text("override.reason", &ahead.reason)?;
    let mut checks = Checks::new();
    let message = "at least one line is needed";
    let some = !ahead.lines.is_empty();
    checks.hold(some, Code::InvalidInput, "input.override.lines", message);
    for (place, (id, units)) in ahead.lines.iter().enumerate() {
        let field = |name: &str| format!("input.override.lines.{place}.{name}");
        let Some(index) = held.lines.iter().position(|line| line.id == *id) else {
            checks.refuse(Problem::not_found("ReturnLine").at(&field("lineId")));
            continue;
        };
        let line = &held.lines[index];
        let paid = std::cmp::max(came(&held.units, line), line.refunded);
        let most = line.quantity - paid - all[index];
        checks.count(&field("quantity"), *units, 1, most);
        all[index] += units;
    }
    checks.done()?;
    Ok(all)
}
