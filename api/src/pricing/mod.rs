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
mod offer;
mod promotions;
mod quote;
mod round;
#[cfg(test)]
mod samples;
mod shipping;
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
use tax::TaxRules;

/// Prices a cart: promotions take their part of the lines and of shipping in stacking order, and
/// what is left is taxed.
pub fn price(cart: &Cart) -> Result<Quote, PricingError> {
    let subtotals = cart.subtotals()?;
    let discounts = promotions::discounts(cart, subtotals.clone())?;
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

    let sum = |first: i64, amount: fn(&QuotedLine) -> i64| {
        lines
            .iter()
            .try_fold(first, |sum, line| sum.checked_add(amount(line)))
            .ok_or(PricingError::OutOfRange)
    };
    Ok(Quote {
        subtotal_minor: sum(0, |line| line.subtotal_minor)?,
        discount_minor: sum(shipping.discount_minor, |line| line.discount_minor)?,
        shipping_minor: shipping.charge_minor,
        tax_minor: sum(shipping.tax_minor, |line| line.tax_minor)?,
        exempted_minor: sum(shipping.exempted_minor, |line| line.exempted_minor)?,
        total_minor: sum(shipping.gross_minor, |line| line.gross_minor)?,
        promotions: verdicts,
        lines,
        shipping,
    })
}

#[cfg(test)]
mod laws;
