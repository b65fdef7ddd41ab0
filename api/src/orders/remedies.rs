//! What can be done about an exception now: each remedy that is suggested, and if it is closed, why.

use entity::{Currency, Money, order, order_exception, order_line};

use super::Around;
use super::aggregate::{missing, status_name};
use super::lifecycle::{self, Action};
use crate::exceptions::Remedy;
use crate::failure::{Code, Problem};

/// What [`remedies`] follows from, besides the exception and its order.
pub struct Grounds<'a> {
    /// What is around the order.
    pub around: Around<'a>,
    /// Its lines.
    pub lines: &'a [order_line::Model],
    /// Whether the verification suggests another address than the one that the exception is about.
    pub address_is_suggested: bool,
}

/// The remedies that an exception suggests, the best first: each, and if it is closed, why.
pub fn remedies(
    exception: &order_exception::Model,
    order: &order::Model,
    grounds: &Grounds<'_>,
) -> Vec<(Remedy, Option<String>)> {
    Remedy::suggested(&exception.suggested_actions)
        .into_iter()
        .map(|remedy| (remedy, closed(remedy, exception, order, grounds)))
        .collect()
}

fn closed(
    remedy: Remedy,
    exception: &order_exception::Model,
    order: &order::Model,
    grounds: &Grounds<'_>,
) -> Option<String> {
    if exception.resolved_at.is_some() {
        return Some("the exception is settled already".to_owned());
    }
    let action = match remedy {
        Remedy::Override | Remedy::AcceptTheirs => Action::ResolveException,
        Remedy::AcceptAddress | Remedy::Reprice | Remedy::Edit | Remedy::SplitOff => Action::Edit,
        Remedy::RetryPayment => Action::RetryPayment,
        Remedy::RetryVoid => Action::RetryVoid,
        Remedy::RetryCapture => Action::RetryCapture,
        Remedy::Reauthorize => Action::Reauthorize,
        Remedy::RetryRefund => Action::RetryRefund,
        Remedy::Cancel => Action::Cancel,
    };
    if let Err(illegal) = lifecycle::next(order.status, action) {
        return Some(format!("the order is {}", status_name(illegal.from)));
    }
    let line = exception
        .line_id
        .and_then(|id| grounds.lines.iter().find(|line| line.id == id));
    let is = |code: Code| exception.code == code.as_str();
    let reason = match remedy {
        Remedy::Override => grounds.around.beyond_words(order, exception),
        Remedy::AcceptTheirs => (!is(Code::PriceMismatch) && !is(Code::ShippingMismatch))
            .then_some("the exception is not about a price"),
        Remedy::AcceptAddress => {
            (!grounds.address_is_suggested).then_some("no other address is suggested")
        }
        Remedy::Reprice if is(Code::ShippingMismatch) => None,
        Remedy::Reprice if is(Code::PriceMismatch) => line
            .is_none_or(|line| line.list_price_minor.is_none() || line.cancelled == line.quantity)
            .then_some("we have no price for the line"),
        Remedy::Reprice => Some("the exception is not about a price"),
        Remedy::SplitOff => {
            let kept = grounds.lines.iter().any(|other| {
                let has = other.quantity - other.cancelled - missing(other) - other.backordered;
                has > 0
            });
            if !is(Code::InsufficientStock) || line.is_none_or(|line| missing(line) == 0) {
                Some("nothing is missing")
            } else {
                let others = grounds.lines.iter().any(|other| {
                    other.cancelled < other.quantity
                        && line.is_some_and(|line| line.variant_id != other.variant_id)
                });
                let available = exception.details["available"].as_i64().unwrap_or_default() > 0;
                (!kept && !others && !available).then_some("nothing would be left of the order")
            }
        }
        Remedy::RetryPayment
        | Remedy::RetryVoid
        | Remedy::RetryCapture
        | Remedy::Reauthorize
        | Remedy::RetryRefund => grounds.around.closed(order, action),
        Remedy::Edit | Remedy::Cancel => None,
    };
    reason.map(str::to_owned)
}

/// How an exception about a price is settled by leaving the channel's as it is, in words. Refused
/// if it is about none.
pub fn accepted(exception: &order_exception::Model) -> Result<String, Problem> {
    let is = |code: Code| exception.code == code.as_str();
    let minor = |name: &str| exception.details[name].as_i64();
    let currency = serde_json::from_value::<Currency>(exception.details["currency"].clone());
    match (minor("theirs"), minor("ours"), currency) {
        (Some(theirs), Some(ours), Ok(currency))
            if is(Code::PriceMismatch) || is(Code::ShippingMismatch) =>
        {
            let (theirs, ours) = (Money::new(theirs, currency), Money::new(ours, currency));
            Ok(format!(
                "accepted: {theirs} as the channel said, not {ours}"
            ))
        }
        _ => Err(Problem::new(
            Code::OrderStateInvalid,
            "the exception is not about a price",
        )
        .at("input.id")),
    }
}
