//! Which promotions apply to a cart, in which order, and what each takes off.
//!
//! **Stacking order**: priority ascending, then automatic promotions before codes, then the code,
//! then the identifier. Each promotion works on what the earlier ones left, so nothing ever falls
//! below zero, and neither the order of the codes nor that of the rows matters.
//!
//! **Exclusive promotions** are combined with nothing, whatever their place in the order:
//! - Of the exclusive codes the first in stacking order applies alone. Every other code is
//!   refused, and automatic promotions are switched off: the customer asked for this one.
//! - An exclusive automatic promotion applies, alone, only if no code does; otherwise it gives
//!   way without a word.
//! - Only promotions that by themselves would take something off this cart are considered, so
//!   that a code which gives nothing does not cost the customer another one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{PromotionId, promotion};

use super::eligibility::eligible;
use super::offer::{Offer, Values};
use super::sum::sum;
use super::{AppliedDiscount, Cart, PricingError, PromotionOutcome, PromotionVerdict, Rejection};

/// What promotions take off a cart.
#[derive(Clone, Debug)]
pub(super) struct Discounts {
    /// Line by line.
    pub(super) lines: Vec<Vec<AppliedDiscount>>,
    /// Off shipping.
    pub(super) shipping: Vec<AppliedDiscount>,
    /// What was left of the lines and of shipping.
    pub(super) left: Values,
    /// What became of every code and of the automatic promotions that applied.
    pub(super) verdicts: Vec<PromotionVerdict>,
}

struct Candidate<'a> {
    promotion: &'a promotion::Model,
    offer: Offer<'a>,
}

/// Applies the promotions of a cart whose lines are worth `subtotals`.
pub(super) fn discounts(cart: &Cart, subtotals: Vec<i64>) -> Result<Discounts, PricingError> {
    let codes = submitted_codes(cart);
    let by_code = promotions_by_code(cart);
    let considered = in_stacking_order(cart, &codes, &by_code);

    let full = Values {
        lines: subtotals,
        shipping: cart.shipping.map_or(0, |shipping| shipping.price_minor),
    };
    let subtotal_minor = sum(full.lines.iter().copied())?;
    let mut outcomes = HashMap::new();
    let mut candidates = Vec::new();
    for promotion in &considered {
        match consider(promotion, cart, &full, subtotal_minor)? {
            Ok(candidate) => candidates.push(candidate),
            Err(rejection) => {
                outcomes.insert(promotion.id, PromotionOutcome::Rejected(rejection));
            }
        }
    }

    let mut discounts = Discounts {
        lines: vec![Vec::new(); full.lines.len()],
        shipping: Vec::new(),
        left: full,
        verdicts: Vec::new(),
    };
    let combined = combinable(&candidates);
    for Candidate { promotion, offer } in &candidates {
        let outcome = if combined.contains(&promotion.id) {
            let taken = offer.take(&cart.lines, &discounts.left, cart.rounding_mode)?;
            discounts.record(promotion.id, &taken)?
        } else {
            PromotionOutcome::Rejected(Rejection::ExclusiveConflict)
        };
        outcomes.insert(promotion.id, outcome);
    }

    for code in codes {
        let promotion = by_code.get(&code);
        discounts.verdicts.push(PromotionVerdict {
            promotion_id: promotion.map(|promotion| promotion.id),
            outcome: promotion
                .and_then(|promotion| outcomes.get(&promotion.id).copied())
                .unwrap_or(PromotionOutcome::Rejected(Rejection::Unknown)),
            code: Some(code),
        });
    }
    for promotion in considered
        .iter()
        .filter(|promotion| promotion.code.is_none())
    {
        if let Some(outcome @ PromotionOutcome::Applied { .. }) = outcomes.get(&promotion.id) {
            discounts.verdicts.push(PromotionVerdict {
                code: None,
                promotion_id: Some(promotion.id),
                outcome: *outcome,
            });
        }
    }
    Ok(discounts)
}

impl Discounts {
    /// Notes what a promotion took off, and takes it off what is left.
    fn record(
        &mut self,
        promotion_id: PromotionId,
        taken: &Values,
    ) -> Result<PromotionOutcome, PricingError> {
        let discount_minor = taken.sum()?;
        if discount_minor == 0 {
            return Ok(PromotionOutcome::Rejected(Rejection::NotApplicable));
        }
        let places = self.lines.iter_mut().chain([&mut self.shipping]);
        let amounts = taken.lines.iter().chain([&taken.shipping]);
        for (discounts, amount) in places.zip(amounts).filter(|(_, amount)| **amount != 0) {
            discounts.push(AppliedDiscount {
                promotion_id,
                amount_minor: *amount,
            });
        }
        self.left.reduce_by(taken);
        Ok(PromotionOutcome::Applied { discount_minor })
    }
}

/// Codes are told apart without case and blanks around them.
fn fold(code: &str) -> String {
    code.trim().to_uppercase()
}

/// The codes, each once, in the order of submission. A blank one is no code.
fn submitted_codes(cart: &Cart) -> Vec<String> {
    let mut seen = HashSet::new();
    cart.codes
        .iter()
        .map(|code| fold(code))
        .filter(|code| !code.is_empty() && seen.insert(code.clone()))
        .collect()
}

/// The promotion of each code; should two rows differ in case only, the first in stacking order.
fn promotions_by_code<'a>(cart: &Cart<'a>) -> HashMap<String, &'a promotion::Model> {
    let mut with_code: Vec<&promotion::Model> = cart
        .promotions
        .iter()
        .filter(|promotion| promotion.code.is_some())
        .collect();
    with_code.sort_by_key(|promotion| Reverse(stacking_key(promotion)));
    with_code
        .into_iter()
        .filter_map(|promotion| Some((fold(promotion.code.as_deref()?), promotion)))
        .collect()
}

/// The automatic promotions and those of the submitted codes, each once.
fn in_stacking_order<'a>(
    cart: &Cart<'a>,
    codes: &[String],
    by_code: &HashMap<String, &'a promotion::Model>,
) -> Vec<&'a promotion::Model> {
    let mut considered: Vec<&promotion::Model> = cart
        .promotions
        .iter()
        .filter(|promotion| promotion.code.is_none())
        .chain(codes.iter().filter_map(|code| by_code.get(code).copied()))
        .collect();
    considered.sort_by_key(|promotion| stacking_key(promotion));
    considered.dedup_by_key(|promotion| promotion.id);
    considered
}

fn stacking_key(promotion: &promotion::Model) -> (i32, Option<&str>, PromotionId) {
    (promotion.priority, promotion.code.as_deref(), promotion.id)
}

/// Reads a promotion that may apply and, by itself, would take something off.
fn consider<'a>(
    promotion: &'a promotion::Model,
    cart: &Cart,
    full: &Values,
    subtotal_minor: i64,
) -> Result<Result<Candidate<'a>, Rejection>, PricingError> {
    let offer =
        match eligible(promotion, cart, subtotal_minor).and_then(|()| Offer::read(promotion)) {
            Ok(offer) => offer,
            Err(rejection) => return Ok(Err(rejection)),
        };
    let alone = offer.take(&cart.lines, full, cart.rounding_mode)?.sum()?;
    Ok(if alone > 0 {
        Ok(Candidate { promotion, offer })
    } else {
        Err(Rejection::NotApplicable)
    })
}

/// The candidates, given in stacking order, that may apply together.
fn combinable(candidates: &[Candidate]) -> BTreeSet<PromotionId> {
    let any_code = candidates.iter().any(|c| c.promotion.code.is_some());
    let alone = candidates
        .iter()
        .find(|c| c.promotion.exclusive && c.promotion.code.is_some() == any_code);
    match alone {
        Some(candidate) => BTreeSet::from([candidate.promotion.id]),
        None => candidates
            .iter()
            .filter(|candidate| !candidate.promotion.exclusive)
            .map(|candidate| candidate.promotion.id)
            .collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use PromotionOutcome::{Applied, Rejected};
    use entity::promotion::Model;

    use super::super::samples::{amount, buy_x_get_y, cart, free_shipping, line, percent};
    use super::*;

    /// What becomes of the codes, and of automatic promotions that apply, on one line of 100.00.
    fn outcomes(promotions: &[Model], codes: &[&str]) -> Vec<(Option<String>, PromotionOutcome)> {
        let mut cart = cart(vec![line("A", 10, 1000)]);
        cart.promotions = promotions;
        cart.codes = codes.iter().map(|code| (*code).to_owned()).collect();
        let verdicts = discounts(&cart, cart.subtotals().unwrap())
            .unwrap()
            .verdicts;
        verdicts
            .into_iter()
            .map(|verdict| (verdict.code, verdict.outcome))
            .collect()
    }

    fn off(code: &str, discount_minor: i64) -> (Option<String>, PromotionOutcome) {
        (Some(code.to_owned()), Applied { discount_minor })
    }

    fn refused(code: &str, rejection: Rejection) -> (Option<String>, PromotionOutcome) {
        (Some(code.to_owned()), Rejected(rejection))
    }

    fn with(change: impl Fn(&mut Model), mut promotion: Model) -> Model {
        change(&mut promotion);
        promotion
    }

    fn exclusive(promotion: Model) -> Model {
        with(|promotion| promotion.exclusive = true, promotion)
    }

    fn automatic(promotion: Model) -> Model {
        with(|promotion| promotion.code = None, promotion)
    }

    fn at(priority: i32, promotion: Model) -> Model {
        with(|promotion| promotion.priority = priority, promotion)
    }

    #[test]
    fn c4b_promotions_stack_by_priority_and_then_by_code() {
        let promotions = [
            at(2, percent("A", "0.1")),
            at(1, amount("C", 1000)),
            at(1, percent("B", "0.5")),
        ];
        // B first, of 100.00; then C; then A, of the 40.00 that are left.
        let expected = [off("A", 400), off("B", 5000), off("C", 1000)];
        assert_eq!(outcomes(&promotions, &["A", "B", "C"]), expected);
    }

    #[test]
    fn c4b_a_code_is_known_in_any_case_and_counts_once() {
        let promotions = [percent("TEN", "0.1")];
        assert_eq!(
            outcomes(&promotions, &[" ten ", "NONE", "Ten", "", "none"]),
            [off("TEN", 1000), refused("NONE", Rejection::Unknown)]
        );
        assert_eq!(outcomes(&promotions, &[]), []);
    }

    #[test]
    fn c4b_a_row_given_twice_applies_once() {
        let promotion = automatic(percent("", "0.1"));
        let promotions = [promotion.clone(), promotion];
        let expected = [(
            None,
            Applied {
                discount_minor: 1000,
            },
        )];
        assert_eq!(outcomes(&promotions, &[]), expected);
    }

    #[test]
    fn c4b_of_two_rows_whose_codes_differ_in_case_the_first_in_stacking_order_counts() {
        let promotions = [
            at(2, percent("Ten", "0.2")),
            at(1, percent("TEN", "0.1")),
            at(3, percent("ten", "0.3")),
        ];
        assert_eq!(outcomes(&promotions, &["ten"]), [off("TEN", 1000)]);
    }

    #[test]
    fn c4b_of_two_exclusive_codes_the_first_in_stacking_order_wins() {
        let promotions = [
            at(2, exclusive(percent("BIG", "0.5"))),
            at(1, exclusive(percent("SMALL", "0.1"))),
            at(0, percent("PLAIN", "0.1")),
            at(0, automatic(percent("", "0.2"))),
        ];
        let expected = [
            refused("BIG", Rejection::ExclusiveConflict),
            refused("PLAIN", Rejection::ExclusiveConflict),
            off("SMALL", 1000),
        ];
        assert_eq!(outcomes(&promotions, &["BIG", "PLAIN", "SMALL"]), expected);
        assert_eq!(outcomes(&promotions, &["BIG"]), [off("BIG", 5000)]);
    }

    #[test]
    fn c4b_an_exclusive_code_that_gives_nothing_costs_no_other_one() {
        let expired = |promotion: &mut Model| promotion.active = false;
        let promotions = [
            at(0, exclusive(with(expired, percent("OLD", "0.5")))),
            at(0, exclusive(buy_x_get_y("MANY", 10, 1))),
            at(1, percent("TEN", "0.1")),
        ];
        let expected = [
            refused("OLD", Rejection::Inactive),
            refused("MANY", Rejection::NotApplicable),
            off("TEN", 1000),
        ];
        assert_eq!(outcomes(&promotions, &["OLD", "MANY", "TEN"]), expected);
    }

    #[test]
    fn c4b_an_exclusive_automatic_promotion_gives_way_to_codes() {
        let promotions = [
            exclusive(automatic(percent("", "0.3"))),
            with(
                |promotion| promotion.id = PromotionId(uuid::Uuid::from_u128(7)),
                automatic(percent("", "0.2")),
            ),
            percent("TEN", "0.1"),
        ];
        let by_itself = |discount_minor| (None, Applied { discount_minor });
        assert_eq!(outcomes(&promotions, &[]), [by_itself(3000)]);
        assert_eq!(
            outcomes(&promotions, &["TEN"]),
            [off("TEN", 800), by_itself(2000)]
        );
        // A code that nobody knows is no code.
        assert_eq!(
            outcomes(&promotions, &["NONE"]),
            [refused("NONE", Rejection::Unknown), by_itself(3000)]
        );
    }

    #[test]
    fn c4b_what_earlier_promotions_left_nothing_for_is_not_used() {
        let promotions = [
            at(1, percent("ALL", "1")),
            at(2, amount("FIVE", 500)),
            at(3, free_shipping("SHIP")),
        ];
        let expected = [
            refused("FIVE", Rejection::NotApplicable),
            off("ALL", 10_000),
            off("SHIP", 490),
        ];
        assert_eq!(outcomes(&promotions, &["FIVE", "ALL", "SHIP"]), expected);
    }

    #[test]
    fn c4b_a_discount_larger_than_the_order_takes_all_of_it_and_no_more() {
        let promotions = [amount("HUGE", i64::MAX)];
        assert_eq!(outcomes(&promotions, &["HUGE"]), [off("HUGE", 10_000)]);
    }
}
