//! What an order costs: tiers, promotions, shipping charge, tax, to the minor unit.
//!
//! Everything here is a pure function of its arguments: no database, no clock (the moment is part
//! of the [`Cart`]), no randomness. So a price can be worked out again at any time, compared with
//! what a storefront submitted, and explained. Amounts are whole minor units of one currency;
//! each is rounded once, by a named mode, and what must add up is apportioned instead. What does
//! not fit is an error: nothing here panics or wraps.
//!
//! Nothing here looks up prices, counts the uses of a promotion or converts currencies.

mod apportion;
mod cart;
mod compare;
mod eligibility;
mod error;
#[cfg(test)]
mod laws;
mod offer;
mod promotions;
mod quote;
mod round;
#[cfg(test)]
mod samples;
mod shipping;
mod sum;
mod tax;
mod tiers;

pub use apportion::apportion;
pub use cart::{Cart, CartLine, ShippingCharge};
pub use compare::{Difference, amount_difference, titles_match};
pub use eligibility::Rejection;
pub use error::PricingError;
pub use quote::{
    AppliedDiscount, PromotionOutcome, PromotionVerdict, Quote, QuotedLine, QuotedShipping,
};
pub use round::{contained_tax, multiply, round_minor};
pub use shipping::{ChosenShipping, ShippingOption, choose_shipping};
pub use tiers::{PriceCandidate, unit_price};

use promotions::Discounts;
use sum::sum;
use tax::TaxRules;

/// Prices a cart: agreed discounts come off first, then promotions take their part of the lines and of shipping in stacking order, and
/// what is left is taxed.
pub fn price(cart: &Cart) -> Result<Quote, PricingError> {
    let subtotals = cart.subtotals()?;
    let discounts = promotions::discounts(cart, cart.agreed_values(&subtotals)?)?;
    let rules = TaxRules::of(cart);
    let Discounts { left, verdicts, .. } = discounts;

    let mut lines = Vec::with_capacity(cart.lines.len());
    for (index, discounts) in discounts.lines.into_iter().enumerate() {
        let line = &cart.lines[index];
        let taxed = rules.tax(left.lines[index], line.quantity, line.tax_rate)?;
        lines.push(QuotedLine {
            unit_price_minor: line.unit_price_minor,
            subtotal_minor: subtotals[index],
            discount_minor: subtotals[index] - left.lines[index],
            discounts,
            net_minor: taxed.net,
            tax_minor: taxed.tax,
            gross_minor: taxed.gross,
            exempted_minor: taxed.exempted,
        });
    }

    let shipping = match cart.shipping {
        None => QuotedShipping::default(),
        Some(charge) => {
            let taxed = rules.tax(left.shipping, 1, charge.tax_rate)?;
            QuotedShipping {
                charge_minor: charge.price_minor,
                discount_minor: charge.price_minor - left.shipping,
                discounts: discounts.shipping,
                net_minor: taxed.net,
                tax_minor: taxed.tax,
                gross_minor: taxed.gross,
                exempted_minor: taxed.exempted,
            }
        }
    };

    let total = |of_shipping: i64, of_line: fn(&QuotedLine) -> i64| {
        sum(lines.iter().map(of_line).chain([of_shipping]))
    };
    Ok(Quote {
        subtotal_minor: total(0, |line| line.subtotal_minor)?,
        discount_minor: total(shipping.discount_minor, |line| line.discount_minor)?,
        shipping_minor: shipping.charge_minor,
        tax_minor: total(shipping.tax_minor, |line| line.tax_minor)?,
        exempted_minor: total(shipping.exempted_minor, |line| line.exempted_minor)?,
        total_minor: total(shipping.gross_minor, |line| line.gross_minor)?,
        promotions: verdicts,
        lines,
        shipping,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::TimeDelta;
    use entity::channel::{RoundingScope, TaxMode};
    use entity::{ChannelId, Currency};
    use uuid::Uuid;

    use super::samples::{
        cart, free_shipping, line, now, percent, rate, taxed_line, taxed_shipping,
    };
    use super::*;

    #[test]
    fn c4c_mixed_rates_and_taxed_shipping_add_up_with_prices_exclusive_of_tax() {
        let mut cart = cart(vec![
            taxed_line("BOOK", 2, 999, "0.07"),
            taxed_line("LAMP", 1, 3333, "0.19"),
            taxed_line("STAMP", 10, 85, "0"),
        ]);
        cart.shipping = taxed_shipping(495, "0.19");
        let quote = price(&cart).unwrap();
        let taxes: Vec<i64> = quote.lines.iter().map(|line| line.tax_minor).collect();
        assert_eq!(taxes, [140, 633, 0]);
        assert_eq!(quote.shipping.tax_minor, 94);
        assert_eq!(quote.subtotal_minor, 1998 + 3333 + 850);
        assert_eq!(quote.tax_minor, 867);
        assert_eq!(quote.total_minor, 6181 + 495 + 867);
    }

    #[test]
    fn c4c_mixed_rates_and_taxed_shipping_are_contained_in_inclusive_prices() {
        let mut cart = cart(vec![
            taxed_line("BOOK", 2, 1069, "0.07"),
            taxed_line("LAMP", 1, 3966, "0.19"),
        ]);
        cart.tax_mode = TaxMode::Inclusive;
        cart.shipping = taxed_shipping(589, "0.19");
        let quote = price(&cart).unwrap();
        assert_eq!(quote.total_minor, 2138 + 3966 + 589);
        assert_eq!(quote.tax_minor, 140 + 633 + 94);
        assert_eq!(quote.lines[0].net_minor, 1998);
    }

    #[test]
    fn c4c_shipping_is_taxed_after_its_discount() {
        let promotions = [free_shipping("SHIP")];
        let mut cart = cart(vec![line("A", 1, 1000)]);
        cart.shipping = taxed_shipping(500, "0.2");
        assert_eq!(price(&cart).unwrap().total_minor, 1600);
        cart.promotions = &promotions;
        cart.codes = vec!["SHIP".to_owned()];
        let quote = price(&cart).unwrap();
        assert_eq!(quote.shipping.discount_minor, 500);
        assert_eq!((quote.shipping.tax_minor, quote.total_minor), (0, 1000));
        assert_eq!((quote.shipping_minor, quote.discount_minor), (500, 500));
    }

    #[test]
    fn c4c_an_exempt_order_pays_net_prices_in_both_modes() {
        let mut cart = cart(vec![taxed_line("A", 3, 1190, "0.19")]);
        cart.shipping = taxed_shipping(595, "0.19");
        cart.tax_exempt = true;
        let quote = price(&cart).unwrap();
        assert_eq!((quote.tax_minor, quote.exempted_minor), (0, 0));
        assert_eq!(quote.total_minor, 3 * 1190 + 595);
        cart.tax_mode = TaxMode::Inclusive;
        let quote = price(&cart).unwrap();
        assert_eq!((quote.tax_minor, quote.exempted_minor), (0, 570 + 95));
        assert_eq!(quote.total_minor, 3000 + 500);
    }

    #[test]
    fn c4c_a_zero_rated_export_has_no_tax_and_keeps_its_price() {
        for tax_mode in [TaxMode::Exclusive, TaxMode::Inclusive] {
            let mut cart = cart(vec![taxed_line("A", 3, 1190, "0")]);
            cart.tax_mode = tax_mode;
            let quote = price(&cart).unwrap();
            assert_eq!((quote.tax_minor, quote.total_minor), (0, 3570 + 490));
        }
    }

    #[test]
    fn c4c_the_scope_of_rounding_decides_the_tax_of_many_small_units() {
        let mut cart = cart(vec![taxed_line("SCREW", 100, 7, "0.19")]);
        cart.shipping = None;
        assert_eq!(price(&cart).unwrap().tax_minor, 133);
        cart.rounding_scope = RoundingScope::PerUnit;
        assert_eq!(price(&cart).unwrap().tax_minor, 100);
    }

    #[test]
    fn c4b_a_hundred_percent_off_leaves_nothing_to_pay_or_to_tax() {
        let promotions = [percent("ALL", "1"), free_shipping("SHIP")];
        let mut cart = cart(vec![taxed_line("A", 3, 333, "0.19")]);
        cart.promotions = &promotions;
        cart.codes = vec!["all".to_owned(), "ship".to_owned()];
        let quote = price(&cart).unwrap();
        assert_eq!((quote.total_minor, quote.tax_minor), (0, 0));
        assert_eq!(quote.discount_minor, 999 + 490);
        let discounts = &quote.lines[0].discounts;
        assert_eq!(discounts.len(), 1);
        assert_eq!(discounts[0].amount_minor, 999);
    }

    #[test]
    fn c4a_yen_and_dinars_are_rounded_to_their_own_minor_units() {
        // 15 % off 999 yen is 849.15; 10 % tax on 849 is 84.9.
        let promotions = [percent("P", "0.15")];
        let mut cart = cart(vec![taxed_line("A", 1, 999, "0.1")]);
        cart.currency = Currency::JPY;
        cart.shipping = None;
        cart.promotions = &promotions;
        cart.codes = vec!["P".to_owned()];
        let quote = price(&cart).unwrap();
        assert_eq!((quote.discount_minor, quote.tax_minor), (150, 85));
        assert_eq!(quote.total_minor, 934);

        // 12.345 dinars at 5 %: 0.617 fils are kept, since the dinar has three decimals.
        cart.currency = Currency::KWD;
        cart.codes.clear();
        cart.lines = vec![taxed_line("A", 1, 12_345, "0.05")];
        assert_eq!(price(&cart).unwrap().total_minor, 12_345 + 617);
    }

    #[test]
    fn a_line_that_cannot_be_priced_is_named() {
        let refusal = |change: fn(&mut Cart)| {
            let mut cart = cart(vec![line("A", 1, 100), line("B", 1, 100)]);
            change(&mut cart);
            price(&cart).map(|quote| quote.total_minor)
        };
        let quantity = Err(PricingError::QuantityInvalid { line: 1 });
        assert_eq!(refusal(|cart| cart.lines[1].quantity = 0), quantity);
        assert_eq!(refusal(|cart| cart.lines[1].quantity = -3), quantity);
        assert_eq!(
            refusal(|cart| cart.lines[0].unit_price_minor = -1),
            Err(PricingError::PriceNegative { line: Some(0) })
        );
        assert_eq!(
            refusal(|cart| cart.lines[1].tax_rate = rate("-0.19")),
            Err(PricingError::TaxRateInvalid { line: Some(1) })
        );
        assert_eq!(
            refusal(|cart| cart.shipping = taxed_shipping(-1, "0")),
            Err(PricingError::PriceNegative { line: None })
        );
        assert_eq!(
            refusal(|cart| cart.lines[0].quantity = i64::MAX),
            Err(PricingError::OutOfRange)
        );
        // Each line fits, and so do both with shipping, but not with the tax.
        assert_eq!(
            refusal(|cart| {
                cart.lines[0].unit_price_minor = i64::MAX - 1000;
                cart.lines[1].tax_rate = rate("5.5");
            }),
            Err(PricingError::OutOfRange)
        );
    }

    #[test]
    fn a_cart_without_lines_costs_its_shipping() {
        let quote = price(&cart(Vec::new())).unwrap();
        assert_eq!((quote.subtotal_minor, quote.total_minor), (0, 490));
    }

    #[test]
    fn c4b_promotions_of_another_channel_or_a_later_day_are_told_apart() {
        let mut later = percent("LATER", "0.1");
        later.valid_from = Some(now() + TimeDelta::seconds(1));
        let mut elsewhere = percent("ELSEWHERE", "0.1");
        elsewhere.channel_id = Some(ChannelId(Uuid::from_u128(2)));
        let promotions = [later, elsewhere];
        let mut cart = cart(vec![line("A", 1, 1000)]);
        cart.promotions = &promotions;
        cart.codes = ["later", "elsewhere", "never"].map(str::to_owned).into();
        let reasons: Vec<PromotionOutcome> = price(&cart)
            .unwrap()
            .promotions
            .into_iter()
            .map(|verdict| verdict.outcome)
            .collect();
        assert_eq!(
            reasons,
            [
                PromotionOutcome::Rejected(Rejection::NotYetValid),
                PromotionOutcome::Rejected(Rejection::WrongChannel),
                PromotionOutcome::Rejected(Rejection::Unknown),
            ]
        );
    }
}
